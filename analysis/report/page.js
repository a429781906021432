"use strict";
// Folding, the list of sections and the charts. Everything from a run reaches the page as text
// (textContent), never as markup.
const add = (parent, tag, text, attributes = {}) => {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  parent.append(node);
  return node;
};

// ---- sections: folded as the reader left them, opened for whoever follows a link into them ----
const parts = [...document.querySelectorAll('details.part')];
const memory = {
  key: id => 'beliefmod ' + document.title + ' ' + location.pathname + ' ' + id,
  // a page from a file may have no storage; then it forgets
  get: id => { try { return localStorage.getItem(memory.key(id)); } catch { return null; } },
  set: (id, value) => { try { localStorage.setItem(memory.key(id), value); } catch { /* forgotten */ } },
};
let printing = false;
for (const part of parts) {
  const known = memory.get(part.id);
  if (known) part.open = known === 'open';
  part.addEventListener('toggle', () => { if (!printing) memory.set(part.id, part.open ? 'open' : 'folded'); });
}
const reveal = anchor => {
  const place = anchor && document.getElementById(anchor);
  if (!place) return;
  for (let box = place; box; box = box.parentElement) if (box.localName === 'details') box.open = true;
  place.scrollIntoView();
};
const here = () => decodeURIComponent(location.hash.slice(1));
addEventListener('hashchange', () => reveal(here()));
// a link to where one already is does not change the hash
document.addEventListener('click', event => {
  const link = event.target.closest && event.target.closest('a[href^="#"]');
  if (link && link.getAttribute('href').slice(1) === here()) reveal(here());
});
addEventListener('beforeprint', () => {
  printing = true;
  for (const part of parts) { part.dataset.was = part.open; part.open = true; }
});
addEventListener('afterprint', () => {
  for (const part of parts) part.open = part.dataset.was === 'true';
  setTimeout(() => { printing = false; }, 0);
});
const contents = document.getElementById('contents');
if (contents) {
  for (const [text, open] of [['Unfold all', true], ['Fold all', false]])
    add(contents, 'button', text, {type: 'button'})
      .addEventListener('click', () => { for (const part of parts) part.open = open; });
  const links = [...contents.querySelectorAll('a')];
  const places = links.map(link => document.getElementById(link.getAttribute('href').slice(1)));
  const mark = () => {
    // the last section that begins in the upper third of the window
    let at = 0;
    places.forEach((place, i) => { if (place.getBoundingClientRect().top < innerHeight / 3) at = i; });
    links.forEach((link, i) => {
      if (i === at) link.setAttribute('aria-current', 'true'); else link.removeAttribute('aria-current');
    });
  };
  let due = false;
  addEventListener('scroll', () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => { due = false; mark(); });
  }, {passive: true});
  mark();
}
reveal(here());

// ---- charts: the static picture stays until the interactive one is there; without scripts it is the figure ----
const views = new Map();
// a screen reader is told of marks that have words, not of the groups that they stand in
const named = place => {
  for (const mark of place.querySelectorAll('[role="graphics-symbol"]:not([aria-label])')) {
    mark.removeAttribute('role');
    mark.removeAttribute('aria-roledescription');
  }
};
// every drawing numbers its colour scales from 0, and a reference would find the first of the page
const rename = (place, name) => {
  for (const scale of place.querySelectorAll('linearGradient[id]')) {
    const id = name + '-' + scale.id;
    for (const user of place.querySelectorAll(`[fill$="#${scale.id})"]`))
      user.setAttribute('fill', `url(#${id})`);
    scale.id = id;
  }
};
const draw = source => {
  const name = source.dataset.chart;
  const place = document.getElementById('chart-' + name);
  const live = document.createElement('div');
  // ast: expressions are interpreted, not compiled, so the page's policy can forbid eval
  return vegaEmbed(live, JSON.parse(source.textContent), {renderer: 'svg', actions: false, ast: true})
    .then(result => {
      rename(live, name);
      // fonts differ from those of the static picture
      place.style.setProperty('--drawn', live.querySelector('svg').getAttribute('width') + 'px');
      place.replaceChildren(live);
      named(place);
      views.set(name, result.view);
      place.dataset.live = 'yes';
      return result.view;
    })
    .catch(error => { console.error('chart ' + name + ' stays static:', error); });
};

document.querySelectorAll('.chart').forEach(named);
const sources = [...document.querySelectorAll('script[type="application/json"][data-chart]')];
const frontier = sources.find(source => source.dataset.chart === 'frontier');
let keep = [];
const redraw = ids => {
  keep = ids;
  const view = views.get('frontier');
  if (view) view.signal('keep', ids).runAsync();
};
// the chart library comes last on the page, so that the text is there before it
addEventListener('vega', () => {
  if (frontier) {
    draw(frontier).then(view => {
      if (!view) return;
      view.addEventListener('click', (event, item) => {
        if (item && item.datum && item.datum.trial_id) openTrial(item.datum.trial_id);
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
});
let openTrial = () => {};
