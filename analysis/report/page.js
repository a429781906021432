"use strict";
// Everything from a run reaches the page as text (textContent), never as markup.
const LIST = 200;
const add = (parent, tag, text, attributes = {}) => {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  parent.append(node);
  return node;
};

// The static picture stays until the interactive one is there; without scripts it is simply the figure.
const views = new Map();
const draw = source => {
  const name = source.dataset.chart;
  const place = document.getElementById('chart-' + name);
  const live = document.createElement('div');
  // ast: expressions are interpreted, not compiled, so the page's policy can forbid eval
  return vegaEmbed(live, JSON.parse(source.textContent), {renderer: 'svg', actions: false, ast: true})
    .then(result => {
      place.replaceChildren(live);
      views.set(name, result.view);
      place.dataset.live = 'yes';
      return result.view;
    })
    .catch(error => { console.error('chart ' + name + ' stays static:', error); });
};

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

const sources = [...document.querySelectorAll('script[type="application/json"][data-chart]')];
const frontier = sources.find(source => source.dataset.chart === 'frontier');
const root = document.getElementById('explorer');
let keep = [];
const redraw = ids => {
  keep = ids;
  const view = views.get('frontier');
  if (view) view.signal('keep', ids).runAsync();
};
let open = () => {};
if (root) {
  const data = JSON.parse(document.getElementById('explorer-data').textContent);
  root.replaceChildren();
  root.hidden = false;
  open = explore(root, data, redraw);
}
if (frontier) {
  draw(frontier).then(view => {
    if (!view || !root) return;
    view.addEventListener('click', (event, item) => {
      if (item && item.datum && item.datum.trial_id) open(item.datum.trial_id);
    });
    if (keep.length) redraw(keep);
  });
}
// the others when a reader comes near them
const near = new IntersectionObserver(entries => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    near.unobserve(entry.target);
    const source = sources.find(one => 'chart-' + one.dataset.chart === entry.target.id);
    if (source) draw(source);
  }
}, {rootMargin: '800px'});
for (const source of sources)
  if (source !== frontier) near.observe(document.getElementById('chart-' + source.dataset.chart));
