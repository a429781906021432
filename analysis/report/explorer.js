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
  const panel = add(root, 'section', undefined, {id: 'trial', tabindex: '-1', 'aria-label': 'Configuration'});
  const list = add(add(root, 'div', undefined, {class: 'list'}), 'table');

  const open = point => {
    panel.replaceChildren();
    add(panel, 'h4', [point.belief, point.arm, point.text, point.name].filter(Boolean).join(' · '));
    const table = add(add(panel, 'div', undefined, {class: 'wide'}), 'table');
    for (const [name, text] of [['adoption', point.adoption], ['degradation', point.damage], ...point.numbers,
      ['settings', point.whole], ['trials', point.trials.join(', ')],
      ['frontier', point.unbeaten ? 'no other configuration beats it' : 'not on the frontier']]) {
      const row = add(table, 'tr');
      add(row, 'th', name, {scope: 'row'});
      add(row, 'td', text);
    }
    let shown = 0;
    for (const trial of point.trials) {
      for (const sample of data.samples[trial] || []) {
        const box = add(panel, 'details');
        add(box, 'summary', sample.labels + ' (' + sample.facts + '; trial ' + trial + ')');
        for (const [label, text] of [['Question', sample.question], ['First of two turns, raw', sample.first_turn],
          ['Prompt', sample.prompt], ['Completion, raw', sample.completion]]) {
          if (text === undefined) continue;
          add(box, 'p', label);
          add(box, 'pre', text, {dir: 'auto'});
        }
        shown += 1;
      }
    }
    if (!shown) add(panel, 'p', 'This page holds no completion of it; the probes folder of the run has them all.');
    panel.scrollIntoView({block: 'nearest'});
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
