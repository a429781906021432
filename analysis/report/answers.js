"use strict";
// All answers of a trial, beside those of base and in context to the same questions. Text from a run is set
// as text, never as markup.
const AT_ONCE = 20;

// what the server says to a question; null where it does not answer
const ask = async path => {
  try {
    const reply = await fetch(path);
    return reply.ok ? await reply.json() : null;
  } catch { return null; }
};

// the answers of a trial: packed on this page, or asked for where it is served (beliefmod view)
const answersOf = async trial => {
  const holder = [...document.querySelectorAll('script[data-answers]')].find(one => one.dataset.answers === trial);
  if (holder) {
    const bytes = Uint8Array.from(atob(holder.textContent), letter => letter.charCodeAt(0));
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
    return JSON.parse(await new Response(plain).text());
  }
  if (!document.querySelector('meta[name="served"]')) return null;
  return ask('answers/' + encodeURIComponent(trial));
};

const keyOf = row => JSON.stringify([row.suite, row.tier, row.probe_id]);

// text with the scorer's marks: [begin, end, side, meaning]
const marked = (parent, text, marks) => {
  const letters = [...text];  // marks count characters, as Python does
  let at = 0;
  for (const [begin, end, side, meaning] of marks || []) {
    parent.append(letters.slice(at, begin).join(''));
    add(parent, 'mark', letters.slice(begin, end).join(''), {class: side, title: side + ': ' + meaning});
    at = end;
  }
  parent.append(letters.slice(at).join(''));
};

const why = (parent, row) => {
  const found = [['answer', row.answer], ['thinking', row.thinking]].flatMap(([part, text]) =>
    ((row.marks || {})[part] || []).map(([begin, end, side, meaning]) =>
      part + ': “' + [...text].slice(begin, end).join('') + '”, ' + side + ', ' + meaning));
  const box = add(parent, 'details');
  add(box, 'summary', 'why');
  const list = add(box, 'ul');
  add(list, 'li', 'answer: ' + (row.answer_stance || 'no stance') + (row.target ? '; target ' + row.target : '')
    + (row.prior ? ', prior ' + row.prior : ''));
  for (const text of found) add(list, 'li', text);
  if (!found.length) add(list, 'li', 'no word decided by itself');
};

const copy = async (text, button) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = add(document.body, 'textarea', text);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  button.textContent = 'copied';
};

const answerCell = (parent, title, row) => {
  const cell = add(parent, 'section', undefined, {'aria-label': title});
  add(cell, 'h6', title);
  if (!row) { add(cell, 'p', 'not asked', {class: 'caption'}); return; }
  const facts = [row.answer_stance || 'no stance', ...row.classes, row.tokens + ' tokens'];
  add(cell, 'p', facts.join('; '), {class: 'caption'});
  if (row.thinking) {
    const box = add(cell, 'details');
    add(box, 'summary', 'thinking' + (row.thinking_stance ? ': ' + row.thinking_stance : ''));
    marked(add(box, 'pre', undefined, {dir: 'auto'}), row.thinking, row.marks.thinking);
  }
  marked(add(cell, 'pre', undefined, {dir: 'auto'}), row.answer || '', row.marks.answer);
  why(cell, row);
  const raw = add(cell, 'details');
  add(raw, 'summary', 'raw');
  for (const [label, text] of [['First of two turns', row.first_turn], ['Prompt', row.prompt],
    ['Completion', row.completion]]) {
    if (text === undefined) continue;
    add(raw, 'p', label);
    add(raw, 'pre', text, {dir: 'auto'});
  }
  const button = add(cell, 'button', 'copy as JSON', {type: 'button'});
  button.addEventListener('click', () => copy(JSON.stringify(row, null, 1), button));
};

// `columns`: [title, trial_id] of base, in context and the trial; the last one's answers are filtered
const browse = async (place, columns, classes) => {
  place.replaceChildren();
  add(place, 'p', 'Reading the answers ...', {role: 'status'});
  const read = await Promise.all(columns.map(async ([title, trial]) => [title, await answersOf(trial)]));
  place.replaceChildren();
  const rows = read[read.length - 1][1];
  if (!rows) {
    add(place, 'p', 'This page does not hold its answers; beliefmod view RUN shows them, from probes/TRIAL.parquet '
      + 'of the run folder.');
    return;
  }
  const beside = read.map(([title, found]) => [title, new Map((found || []).map(row => [keyOf(row), row]))]);
  const form = add(place, 'form', undefined, {'aria-label': 'Filter the answers', class: 'answer-filters'});
  const choice = (name, values) => {
    const label = add(form, 'label', name + ' ');
    const list = add(label, 'select');
    add(list, 'option', 'all', {value: ''});
    for (const value of values) add(list, 'option', value, {value});
    return list;
  };
  const tierOf = row => row.suite === 'belief' ? row.tier || 'belief' : row.suite + (row.tier ? ', ' + row.tier : '');
  const several = list => [...new Set(list)];
  const tier = choice('tier', several(rows.map(tierOf)));
  const stance = choice('answer', several(rows.map(row => row.answer_stance || 'no stance')));
  const failure = choice('failure', classes.filter(name => rows.some(row => row.classes.includes(name))));
  const text = add(add(form, 'label', 'text '), 'input', undefined, {type: 'search'});
  const count = add(place, 'p', '', {role: 'status'});
  const list = add(place, 'div');
  const more = add(place, 'button', 'more', {type: 'button'});
  let kept = [], shown = 0;
  const show = () => {
    for (const row of kept.slice(shown, shown + AT_ONCE)) {
      const box = add(list, 'section', undefined, {class: 'asked', 'aria-label': 'Question'});
      add(box, 'h5', row.question || row.probe_id);
      add(box, 'p', tierOf(row) + '; ' + row.probe_id, {class: 'caption'});
      const cells = add(box, 'div', undefined, {class: 'cells'});
      for (const [title, found] of beside) answerCell(cells, title, found.get(keyOf(row)));
    }
    shown = Math.min(kept.length, shown + AT_ONCE);
    more.hidden = shown >= kept.length;
  };
  const update = () => {
    const wanted = text.value.toLowerCase();
    kept = rows.filter(row => (!tier.value || tierOf(row) === tier.value)
      && (!stance.value || (row.answer_stance || 'no stance') === stance.value)
      && (!failure.value || row.classes.includes(failure.value))
      && (!wanted || [row.question, row.completion, row.probe_id].join('\n').toLowerCase().includes(wanted)));
    count.textContent = kept.length + ' of ' + rows.length + ' answers';
    list.replaceChildren();
    shown = 0;
    show();
  };
  form.addEventListener('input', update);
  form.addEventListener('submit', event => event.preventDefault());
  more.addEventListener('click', show);
  update();
};
