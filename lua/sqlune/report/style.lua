-- The style sheet of report.html: system fonts, one column, colours by the reader's light or dark setting.
return [[
:root {
  color-scheme: light dark;
  --page: #fbfaf7; --card: #ffffff; --ink: #1c2126; --soft: #5c6670; --line: #dedbd3;
  --accent: #1f5fa8; --good: #1b7a45; --bad: #b3261e; --warn: #8a5a00;
  --del: #fbe0dd; --ins: #d9f0e0; --del-ink: #7c1610; --ins-ink: #0f5130;
  --c1: #1f5fa8; --c2: #c2571a; --c3: #2a8555; --c4: #8a4bb0; --c5: #a3781a; --c6: #2b8c99;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --card: #1c2024; --ink: #e6e4df; --soft: #9aa4ad; --line: #343a40;
    --accent: #7db4f0; --good: #6fd09a; --bad: #ff8f85; --warn: #e5b567;
    --del: #4a2320; --ins: #1d3f2c; --del-ink: #ffc9c4; --ins-ink: #b9efd0;
    --c1: #7db4f0; --c2: #f0a06a; --c3: #7fd3a5; --c4: #c99be8; --c5: #dcbf6a; --c6: #74cbd6;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1rem 1rem 4rem; max-width: 62rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  -webkit-text-size-adjust: 100%;
}
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .75rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
p { margin: .5rem 0; overflow-wrap: anywhere; }
a { color: var(--accent); }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: .5rem 0; }
.note, .small { color: var(--soft); font-size: .875rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .75rem; margin: .75rem 0; }
.tile, details { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
.tile { padding: .6rem .8rem; }
.tile .label { color: var(--soft); font-size: .875rem; }
.tile .value { font-size: 1.6rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin: .5rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; white-space: pre-wrap; }
th:last-child, td:last-child { padding-right: 0; }
th { color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--line); white-space: nowrap; }
td { border-bottom: 1px solid var(--line); max-width: 28rem; overflow-wrap: break-word; min-width: 2ch; }
tfoot td { font-weight: 600; border-bottom: 0; }
.r { text-align: right; white-space: nowrap; }
.null { color: var(--soft); font-style: italic; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .5rem 0; font-size: .9rem; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
pre {
  font: .85rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; background: var(--page); border: 1px solid var(--line);
  border-radius: .375rem; padding: .5rem .65rem; margin: .35rem 0; tab-size: 4;
}
pre.error { border-color: var(--bad); color: var(--bad); }
del, ins { text-decoration: none; border-radius: .2rem; padding: 0 .15em; }
del { background: var(--del); color: var(--del-ink); }
ins { background: var(--ins); color: var(--ins-ink); }
details { margin: .5rem 0; padding: 0 .8rem; }
details[open] { padding-bottom: .6rem; }
summary { cursor: pointer; padding: .5rem 0; overflow-wrap: anywhere; }
.badge {
  display: inline-block; font-size: .75rem; font-weight: 600; line-height: 1.4; padding: 0 .5em; margin-right: .35em;
  border: 1px solid currentColor; border-radius: 1em; color: var(--soft); white-space: nowrap;
}
.badge.good { color: var(--good); } .badge.bad { color: var(--bad); } .badge.warn { color: var(--warn); }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(18rem, 100%), 1fr)); gap: 0 1.25rem; }
.columns > div { min-width: 0; }
figure { margin: .75rem 0; }
figcaption { font-size: .9rem; margin-bottom: .25rem; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1rem; font-size: .875rem; color: var(--soft); }
.legend i { display: inline-block; width: 1.2em; height: .2em; vertical-align: middle; margin-right: .4em; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif; font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .line { fill: none; stroke-width: 1.75; stroke-linejoin: round; stroke-linecap: round; }
@media (max-width: 36rem) { svg text { font-size: 19px; } }
@media print { body { max-width: none; } details { break-inside: avoid; } }
]]
