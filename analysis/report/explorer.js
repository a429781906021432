"use strict";
// The configurations: filters over them, one of them opened, its completions.
const LIST = 200;

const explore = (root, data, redraw) => {
  const byTrial = new Map(data.points.flatMap(point => point.trials.map(trial => [trial, point])));
  const tests = [];
  const filters = add(root, 'form', undefined, {'aria-label': 'Filters'});
  for (const axis of data.axes) {
    const set = add(filters, 'fieldset');
    add(set, 'legend', axis.label);
    const value = point => axis.name === 'belief' || axis.name === 'arm' ? [point[axis.name], null]
      : point.settings && point.settings[axis.name];
    if (axis.values) {
      const boxes = axis.values.map(text => {
        const label = add(set, 'label');
        const box = add(label, 'input', undefined, {type: 'checkbox', checked: ''});
        label.append(' ' + text);
        return [text, box];
      });
      tests.push(point => {
        const own = value(point);
        // an arm without this setting (no training) is not filtered by it
        return !own || boxes.some(([text, box]) => box.checked && text === own[0]);
      });
    } else {
      const ends = ['low', 'high'].map(end => {
        const label = add(set, 'label', end === 'low' ? 'from ' : 'to ');
        return add(label, 'input', undefined, {type: 'number', step: 'any', value: axis[end]});
      });
      tests.push(point => {
        const own = value(point);
        const [low, high] = ends.map(end => end.valueAsNumber);
        return !own || !(own[1] < low) && !(own[1] > high);
      });
    }
  }
  const count = add(root, 'p', '', {'aria-live': 'polite', id: 'explorer-count'});
  const list = add(add(root, 'div', undefined, {class: 'list', tabindex: '0', role: 'group',
    'aria-label': 'Configurations'}), 'table');
  const panel = add(root, 'section', undefined, {id: 'trial', tabindex: '-1', 'aria-label': 'Configuration'});

  const besideOf = point => ['base', 'icl'].map(arm =>
    data.points.find(one => one.arm === arm && one.belief === point.belief)).filter(one => one && one !== point);
  const ARMS = {base: 'base', icl: 'in context'};
  const compared = (title, names, columns) => {
    if (!names.length) return;
    const table = add(add(panel, 'div', undefined, {class: 'wide', tabindex: '0', role: 'group',
      'aria-label': title}), 'table');
    const head = add(add(table, 'thead'), 'tr');
    for (const name of [title, ...columns.map(([name]) => name)]) add(head, 'th', name, {scope: 'col'});
    const body = add(table, 'tbody');
    for (const name of names) {
      const row = add(body, 'tr');
      add(row, 'th', name, {scope: 'row'});
      for (const [, texts] of columns) add(row, 'td', texts[name] || '');
    }
  };
  const open = (point, quietly) => {
    panel.replaceChildren();
    add(panel, 'h3', [point.belief, point.arm, point.text, point.name].filter(Boolean).join(' · '));
    const own = ARMS[point.arm] || 'this one', beside = besideOf(point);
    const columns = what => [[own, point[what]], ...beside.map(one => [ARMS[one.arm], one[what]])];
    compared('key numbers', ['adoption', 'damage'],
      columns('adoption').map(([name, adoption], i) => [name, {adoption, damage: columns('damage')[i][1]}]));
    compared('tier, % adopting [95 %]', Object.keys(point.tiers), columns('tiers'));
    compared('damage against base [95 %]', Object.keys(point.parts),
      columns('parts').filter(([name]) => name !== 'base'));
    const box = add(panel, 'details');
    add(box, 'summary', 'Settings and other numbers');
    const table = add(add(box, 'div', undefined, {class: 'wide'}), 'table');
    for (const [name, text] of [...point.numbers, ['settings', point.whole], ['trials', point.trials.join(', ')],
      ['frontier', point.unbeaten ? 'no other configuration beats it' : 'not on the frontier']]) {
      const row = add(table, 'tr');
      add(row, 'th', name, {scope: 'row'});
      add(row, 'td', text);
    }
    add(panel, 'h4', 'Answers');
    const answers = document.createElement('div');
    const read = trial => browse(answers,
      [...beside.map(one => [ARMS[one.arm], one.trials[0]]), [own, trial]], data.classes);
    if (point.trials.length > 1) {
      const label = add(panel, 'label', 'trial ');
      const list = add(label, 'select');
      for (const trial of point.trials) add(list, 'option', trial, {value: trial});
      list.addEventListener('input', () => read(list.value));
    }
    panel.append(answers);
    read(point.trials[0]);
    if (quietly) return;
    panel.scrollIntoView({block: 'start'});
    panel.focus({preventScroll: true});
  };

  const update = () => {
    const kept = data.points.filter(point => tests.every(test => test(point)));
    count.textContent = kept.length + ' of ' + data.points.length + ' configurations'
      + (kept.length > LIST ? '; the first ' + LIST + ' are listed, narrow the filters for the rest' : '');
    list.replaceChildren();
    const head = add(add(list, 'thead'), 'tr');
    for (const name of ['configuration', 'belief', 'arm', 'adoption, % [95 %]', 'degradation'])
      add(head, 'th', name, {scope: 'col'});
    const body = add(list, 'tbody');
    for (const point of kept.slice(0, LIST)) {
      const row = add(body, 'tr');
      const button = add(add(row, 'td'), 'button', point.text, {type: 'button'});
      button.addEventListener('click', () => open(point));
      for (const name of ['belief', 'arm', 'adoption', 'damage']) add(row, 'td', point[name]);
    }
    // an empty list stands for "no filter" in the chart
    redraw(kept.length === data.points.length ? [] : ['', ...kept.map(point => point.id)]);
  };
  filters.addEventListener('input', update);
  filters.addEventListener('submit', event => event.preventDefault());
  update();
  // the answers of the first one are read when a reader comes near
  const first = byTrial.get(data.first) || data.points[0];
  const near = new IntersectionObserver(entries => {
    if (!entries.some(entry => entry.isIntersecting)) return;
    near.disconnect();
    if (first && !panel.firstChild) open(first, true);
  }, {rootMargin: '400px'});
  near.observe(panel);
  return trial => { const point = byTrial.get(trial); if (point) open(point); };
};


const root = document.getElementById('explorer');
if (root) {
  const data = JSON.parse(document.getElementById('explorer-data').textContent);
  root.replaceChildren();
  root.hidden = false;
  openTrial = explore(root, data, redraw);
  for (const link of document.querySelectorAll('a[data-trial]'))
    link.addEventListener('click', () => openTrial(link.dataset.trial));
}
