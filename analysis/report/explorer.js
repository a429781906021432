"use strict";
// The configurations: filters over them, one of them opened, its completions. Those of a large run come from
// the server (beliefmod view), which filters them and sends some at a time.
const LIST = 200;

const explore = (root, data, redraw) => {
  const byTrial = new Map(data.points.flatMap(point => point.trials.map(trial => [trial, point])));
  const total = data.total || data.points.length, served = total > data.points.length;
  const wants = [];  // of each axis what its filter says; null where it lets everything pass
  const filters = add(root, 'form', undefined, {'aria-label': 'Filters'});
  for (const axis of data.axes) {
    const set = add(filters, 'fieldset');
    add(set, 'legend', axis.label);
    if (axis.values) {
      const boxes = axis.values.map(text => {
        const label = add(set, 'label');
        const box = add(label, 'input', undefined, {type: 'checkbox', checked: ''});
        label.append(' ' + text);
        return [text, box];
      });
      wants.push([axis.name, () => {
        const values = boxes.filter(([, box]) => box.checked).map(([text]) => text);
        return values.length < boxes.length ? {values} : null;
      }]);
    } else {
      const ends = ['low', 'high'].map(end => {
        const label = add(set, 'label', end === 'low' ? 'from ' : 'to ');
        return add(label, 'input', undefined, {type: 'number', step: 'any', value: axis[end]});
      });
      wants.push([axis.name, () => {
        // an empty field is no end, and NaN is null in JSON
        const [low, high] = ends.map(end => end.valueAsNumber);
        return low > axis.low || high < axis.high ? {low, high} : null;
      }]);
    }
  }
  const value = (point, name) => name === 'belief' || name === 'arm' ? [point[name], null]
    : point.settings && point.settings[name];
  const passes = (point, wanted) => Object.entries(wanted).every(([name, {values, low, high}]) => {
    const own = value(point, name);
    // an arm without this setting (no training) is not filtered by it
    return !own || (values ? values.includes(own[0]) : !(own[1] < low) && !(own[1] > high));
  });
  const count = add(root, 'p', '', {'aria-live': 'polite', id: 'explorer-count'});
  const list = add(add(root, 'div', undefined, {class: 'list', tabindex: '0', role: 'group',
    'aria-label': 'Configurations'}), 'table');
  const turns = add(root, 'p');
  const [back, on] = [['previous', -LIST], ['next', LIST]].map(([name, by]) => {
    const button = add(turns, 'button', name + ' ' + LIST, {type: 'button'});
    button.addEventListener('click', () => { start += by; update(); });
    return button;
  });
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
    compared('key numbers [' + data.interval + ']', ['adoption', 'damage'],
      columns('adoption').map(([name, adoption], i) => [name, {adoption, damage: columns('damage')[i][1]}]));
    compared('tier, % adopting [95 % over questions]', Object.keys(point.tiers), columns('tiers'));
    compared('damage against base [95 % over questions]', Object.keys(point.parts),
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

  let start = 0, asked = 0;
  const update = async () => {
    const wanted = Object.fromEntries(wants.map(([name, want]) => [name, want()]).filter(([, want]) => want));
    const turn = ++asked;
    const kept = served ? null : data.points.filter(point => passes(point, wanted));
    const found = served
      ? await ask('configurations?' + new URLSearchParams({filters: JSON.stringify(wanted), start}))
      : {count: kept.length, points: kept.slice(start, start + LIST)};
    if (turn !== asked) return;  // a later question has been asked meanwhile
    if (!found) { count.textContent = 'The server does not answer; is beliefmod view still running?'; return; }
    count.textContent = found.count + ' of ' + total + ' configurations'
      + (found.count > LIST ? '; listed are ' + (start + 1) + ' to ' + (start + found.points.length) : '');
    turns.hidden = found.count <= LIST;
    back.hidden = start <= 0;
    on.hidden = start + LIST >= found.count;
    list.replaceChildren();
    const head = add(add(list, 'thead'), 'tr');
    for (const name of ['configuration', 'belief', 'arm',
      'adoption [' + data.interval + ']', 'degradation [' + data.interval + ']'])
      add(head, 'th', name, {scope: 'col'});
    const body = add(list, 'tbody');
    for (const point of found.points) {
      const row = add(body, 'tr');
      const button = add(add(row, 'td'), 'button', point.text, {type: 'button'});
      button.addEventListener('click', () => open(point));
      for (const name of ['belief', 'arm', 'adoption', 'damage']) add(row, 'td', point[name]);
    }
    // an empty list stands for "no filter" in the chart
    if (kept) redraw(kept.length === total ? [] : ['', ...kept.map(point => point.id)]);
    else redraw(found.count === total ? [] : ['', ...found.drawn]);
  };
  filters.addEventListener('input', () => { start = 0; update(); });
  filters.addEventListener('submit', event => event.preventDefault());
  update();
  // the answers of the first one are read when a reader comes near
  const pointOf = async trial => byTrial.get(trial)
    || (served && trial ? await ask('configuration/' + encodeURIComponent(trial)) : null);
  const near = new IntersectionObserver(async entries => {
    if (!entries.some(entry => entry.isIntersecting)) return;
    near.disconnect();
    const first = await pointOf(data.first) || data.points[0];
    if (first && !panel.firstChild) open(first, true);
  }, {rootMargin: '400px'});
  near.observe(panel);
  return async trial => { const point = await pointOf(trial); if (point) open(point); };
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
