"""The report's style: one column that fits a phone, light and dark, and paper."""

from __future__ import annotations

# Colours of series keep a contrast of 3 to 1 with their background (WCAG 2.1, 1.4.11), texts one of 4.5 to 1 (1.4.3),
# and no two are told apart by their hue alone: traces differ by mark or dash too.
_LIGHT = """
--bg:#ffffff;--surface:#f5f7f9;--text:#1b1f24;--muted:#57606a;--line:#d4dae1;--accent:#0a5ca8;
--good:#0b6b3a;--good-bg:#e2f4e9;--bad:#a8201a;--bad-bg:#fde8e6;
--series-1:#0067a5;--series-2:#c2410c;--series-3:#00795b;--series-4:#8e3a8c;--series-5:#8a6100;--series-6:#44549c;
--series-7:#5c6670;
"""
_DARK = """
--bg:#14171b;--surface:#1d2127;--text:#e8ebef;--muted:#a3adb8;--line:#363d47;--accent:#79b8ff;
--good:#6fd79b;--good-bg:#143322;--bad:#ff9a92;--bad-bg:#431a18;
--series-1:#6cb6ff;--series-2:#ff9e64;--series-3:#4fd1a5;--series-4:#e29ad4;--series-5:#dfc060;--series-6:#a7b4ff;
--series-7:#aab4bf;
"""

CSS = (
    f":root{{color-scheme:light dark;{_LIGHT}}}"
    f"@media (prefers-color-scheme:dark){{:root{{{_DARK}}}}}"
    f":root.paper{{color-scheme:light;{_LIGHT}}}"
    """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--bg);color:var(--text);line-height:1.5;overflow-wrap:anywhere;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif;font-size:16px}
header,main,footer{max-width:72rem;margin:0 auto;padding:0 1rem}
header{padding-top:2rem}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 .25rem}
h2{font-size:1.3rem;line-height:1.25;margin:2.5rem 0 .75rem;padding-top:.75rem;border-top:1px solid var(--line)}
h3{font-size:1.05rem;line-height:1.3;margin:1.75rem 0 .5rem}
p{margin:.5rem 0}
a{color:var(--accent)}
a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.lead,.note,figcaption,footer{color:var(--muted)}
.note,figcaption{font-size:.9rem}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.badge{display:inline-block;font-size:.8rem;font-weight:700;line-height:1;padding:.3em .6em;border-radius:1em;
letter-spacing:.03em;white-space:nowrap;border:1px solid currentColor}
.valid{color:var(--good);background:var(--good-bg)}
.invalid{color:var(--bad);background:var(--bad-bg)}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1rem;margin:1rem 0 0;padding:0;font-size:.9rem}
.runs{list-style:none;margin:0;padding:0;display:grid;gap:.75rem}
.runs>li,.card{background:var(--surface);border:1px solid var(--line);border-radius:.6rem;padding:.9rem 1rem}
.runs>li.bad{border-left:4px solid var(--bad)}
.runs>li.fine{border-left:4px solid var(--good)}
.runs p{margin:.4rem 0 0}
.why{color:var(--bad);margin-top:.4rem}
ul{margin:.25rem 0;padding-left:1.4rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(10.5rem,45%),1fr));gap:.75rem;margin:1rem 0}
.tile{background:var(--surface);border:1px solid var(--line);border-radius:.6rem;padding:.7rem .9rem}
.tile b{display:block;font-size:1.45rem;line-height:1.2;font-variant-numeric:tabular-nums}
.tile span{display:block;color:var(--muted);font-size:.85rem}
.pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(27rem,100%),1fr));gap:1rem;align-items:stretch}
.pictures>figure:last-child:nth-child(odd){grid-column:1/-1}
.pictures+.pictures{margin-top:1rem}
.pictures.wide{grid-template-columns:minmax(0,1fr)}
figure{margin:0;min-width:0}
figure h3{margin:0 0 .25rem;font-size:1rem}
.chart{display:none;width:100%;min-width:0}
.js .chart{display:block}
figcaption{margin-top:.25rem}
details.data{margin-top:.5rem;font-size:.9rem}
summary{cursor:pointer}
details.run{border:1px solid var(--line);border-radius:.6rem;margin:1rem 0;padding:0 1rem}
details.run[open]{padding-bottom:1rem}
details.run>summary{padding:.8rem 0;font-weight:600}
.scroll{overflow-x:auto;margin:.5rem 0;max-width:100%}
table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.4rem .7rem .4rem 0;border-bottom:1px solid var(--line);vertical-align:top;
overflow-wrap:normal}
thead th{color:var(--muted);font-weight:600;white-space:nowrap}
tbody th{font-weight:600;min-width:9rem;max-width:24rem;overflow-wrap:anywhere}
.n{text-align:right;white-space:nowrap}
table.data{width:auto;font-size:.85rem}
table.data tbody th{font-weight:400}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(20rem,100%),1fr));gap:.5rem 1.5rem;margin:.5rem 0}
.facts div{min-width:0}
dt{color:var(--muted);font-size:.85rem}
dd{margin:0}
pre{background:var(--surface);border:1px solid var(--line);border-radius:.4rem;padding:.7rem .9rem;margin:.5rem 0;
white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85rem;font-family:ui-monospace,"Liberation Mono",Menlo,monospace}
footer{padding-top:2rem;padding-bottom:2rem;font-size:.85rem}
@media (max-width:34rem){body{font-size:15px}header{padding-top:1.25rem}h1{font-size:1.4rem}
.runs>li,.card,.tile{padding:.7rem .75rem}.tile b{font-size:1.2rem}details.run{padding:0 .6rem}}
@media print{body{font-size:10pt}nav,details.data,.noprint{display:none}.card,.tile,.runs>li,tr{break-inside:avoid}
h2,h3{break-after:avoid}.scroll{overflow:visible}details.run{border:0;padding:0}header,main,footer{max-width:none}}
"""
)
