"""The style sheet of a page: light and dark, and tables that become lists where a screen is narrow."""

CSS = """
:root { color-scheme: light dark; --text: #1c2430; --soft: #5b6675; --line: #dde3ec; --fill: #f3f5f9; --page: #ffffff;
  --good: #11693a; --good-fill: #e7f5ec; --bad: #a3320b; --bad-fill: #fdeee8; --link: #0b6fb8; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ee; --soft: #9aa6b5; --line: #343c48; --fill: #222933; --page: #161b22;
  --good: #6fd19a; --good-fill: #16301f; --bad: #ff9d7a; --bad-fill: #3a2018; --link: #7fbcf0; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); max-width: 1100px; margin: 2rem auto;
  padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); padding-bottom: .3rem; }
h3 { margin: 1.6rem 0 .3rem; } p { margin: .5rem 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line); }
th { background: var(--fill); } td { overflow-wrap: anywhere; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; overflow-wrap: normal; }
td.name { white-space: nowrap; overflow-wrap: normal; }
td.good, td.bad { font-weight: 600; white-space: nowrap; overflow-wrap: normal; }
.good { color: var(--good); } .bad { color: var(--bad); } b.bad { text-decoration: underline; }
code, pre { background: var(--fill); padding: 0 .2rem; } pre { padding: .6rem; overflow-x: auto; font-size: .9rem; }
details { margin: .8rem 0; } summary { cursor: pointer; color: var(--link); }
img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; } figure { margin: 1rem 0; }
.cards { display: flex; flex-wrap: wrap; gap: 1rem; align-items: stretch; }
.card { box-sizing: border-box; flex: 0 1 235px; border: 1px solid var(--line); border-radius: 8px; padding: .8rem;
  min-width: 0; }
.card.sound { flex-basis: 515px; } .card.drawn { flex: 1 1 100%; }
.card.right { border-left: 5px solid var(--good); }
.card.wrong { border-left: 5px solid var(--bad); background: var(--bad-fill); }
.strip .card, .strip .card.sound, .strip .card.drawn { flex: 1 1 220px; } .strip img { max-height: 144px; width: auto; }
.card h4 { margin: 0 0 .4rem; } .card dl { font-size: .9rem; margin: .6rem 0 0; }
.card dt { color: var(--soft); font-size: .8rem; } .card dd { margin: 0 0 .3rem; overflow-wrap: anywhere; }
audio { width: 100%; height: 32px; }
.drawing { overflow-x: auto; } .drawing svg { max-width: none; font: 14px system-ui, sans-serif; fill: currentColor; }
.strip .drawing svg { max-width: 100%; height: auto; } .drawing line { stroke: var(--soft); } .drawing .bad { fill: var(--bad);
  font-weight: 700; text-decoration: underline; }
@media (max-width: 640px) {
  body { margin-top: 1rem; } .card, .card.sound { flex-basis: 100%; }
  table.rows thead { display: none; } table.rows tr { display: block; border-bottom: 2px solid var(--line); padding: .4rem 0; }
  table.rows td { display: flex; gap: .6rem; border: 0; padding: .15rem 0; white-space: normal; }
  table.rows td:empty { display: none; }
  table.rows td::before { content: attr(data-label); color: var(--soft); flex: 0 0 6.5rem; font-weight: 400; }
}
"""
