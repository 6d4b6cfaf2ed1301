"""The page's style and script: files of their own, so that the policy of the page allows neither inline."""

from __future__ import annotations

STYLE = """
:root { --back: #0e1420; --card: #172033; --line: #26324a; --text: #dbe4f3; --dim: #8494b0;
  --good: #3fc08a; --fair: #e5b454; --bad: #f0616d; --blue: #6aa9ff; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
header { display: flex; gap: 1.5rem; align-items: baseline; padding: 1.2rem 2rem .4rem; }
header p { margin: 0 auto 0 0; color: var(--dim); }
h1 { font-size: 1.5rem; margin: 0; letter-spacing: .01em; }
h2 { font-size: .8rem; margin: 2rem 0 .5rem; color: var(--dim); text-transform: uppercase; letter-spacing: .12em; }
main { padding: 0 2rem 3rem; }
.moment { color: var(--dim); font-variant-numeric: tabular-nums; margin: .2rem 0 1rem; }
.cards { list-style: none; display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .8rem;
  margin: 0; padding: 0; }
.cards li { background: var(--card); border: 1px solid var(--line); border-left: 3px solid var(--blue);
  border-radius: .5rem; padding: .7rem .9rem; display: flex; flex-direction: column; }
.cards li.good { border-left-color: var(--good); } .cards li.fair { border-left-color: var(--fair); }
.cards li.bad { border-left-color: var(--bad); }
.cards b { font-size: 1.25rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.cards span { color: var(--dim); } .cards small { color: var(--dim); overflow-wrap: anywhere; }
.wide { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .45rem .8rem; border-bottom: 1px solid var(--line); vertical-align: middle; }
tbody tr:last-child > * { border-bottom: 0; }
thead th { color: var(--dim); font-weight: 500; font-size: .85rem; white-space: nowrap; }
tbody th { font-weight: 500; font-family: ui-monospace, monospace; font-size: .9rem; }
td.good { color: var(--good); } td.fair { color: var(--fair); } td.bad { color: var(--bad); font-weight: 600; }
.spark polyline { fill: none; stroke: var(--blue); stroke-width: 1.5; } .spark rect { fill: var(--bad); }
.spark { display: block; }
summary { cursor: pointer; color: var(--blue); }
form { display: flex; gap: .4rem; align-items: center; margin: 0; }
input { background: var(--back); color: var(--text); border: 1px solid var(--line); border-radius: .3rem;
  padding: .3rem .5rem; font: inherit; }
button { background: var(--line); color: var(--text); border: 0; border-radius: .3rem; padding: .35rem .7rem;
  font: inherit; cursor: pointer; }
button:hover, button:focus-visible { background: var(--blue); color: var(--back); }
.note { margin: .6rem 2rem; padding: .5rem .9rem; background: var(--card); border-left: 3px solid var(--fair); }
.login { max-width: 26rem; margin: 15vh auto; } .login form { flex-direction: column; align-items: stretch; }
.login .note { margin: .6rem 0; }
code { font-family: ui-monospace, monospace; font-size: .85em; }
"""

SCRIPT = """
// Without this the page is the same and stands still: each load shows the moment.
const fetchLive = async () => {
  const live = document.getElementById("live");
  // What a person is typing is not taken from under her hands.
  if (!live || document.hidden || live.querySelector("details[open]")) return;
  try {
    const answer = await fetch("/ops/live", { credentials: "same-origin" });
    if (answer.status === 401 || answer.status === 403) { location.reload(); return; }
    if (!answer.ok) return;
    // Parsed as a document of its own: what is in it is data, and no script in it would run.
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
    if (next) live.replaceWith(document.adoptNode(next));
  } catch (error) { /* the service is away; the last moment stays */ }
};
setInterval(fetchLive, 5000);
"""
