"""The report's script: it hands each picture to plotly.js, in the colours of the scheme, once it can be seen."""

from __future__ import annotations

SCRIPT = """
(function () {
  "use strict";
  var root = document.documentElement;
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  var touch = window.matchMedia("(pointer: coarse)").matches;
  root.classList.add("js");

  // Colours are names of CSS variables in the data, so that one page serves both schemes.
  function coloured(value, key, style) {
    if (Array.isArray(value)) {
      return value.map(function (item) { return coloured(item, key, style); });
    }
    if (value && typeof value === "object") {
      var copy = {};
      Object.keys(value).forEach(function (name) { copy[name] = coloured(value[name], name, style); });
      return copy;
    }
    var name = typeof value === "string" && /color$/.test(key) && /^var\\((--[a-z0-9-]+)\\)$/.exec(value);
    return name ? style.getPropertyValue(name[1]).trim() : value;
  }

  function draw(box) {
    var style = getComputedStyle(root);
    var figure = JSON.parse(document.getElementById(box.dataset.figure).textContent);
    var layout = coloured(figure.layout, "", style);
    layout.autosize = true;
    // A finger that scrolls the page must not be caught by a picture.
    layout.dragmode = touch ? false : "zoom";
    Object.keys(layout).forEach(function (name) {
      if (touch && /^[xy]axis/.test(name)) { layout[name].fixedrange = true; }
    });
    var settings = { responsive: true, displayModeBar: false, displaylogo: false };
    return Plotly.react(box, coloured(figure.data, "", style), layout, settings);
  }

  function all(part) { return Array.prototype.slice.call(part.querySelectorAll(".chart")); }
  function seen(box) { return !box.closest("details.run:not([open])"); }
  function drawSeen(part) { return Promise.all(all(part).filter(seen).map(draw)); }

  Array.prototype.forEach.call(document.querySelectorAll("details.run"), function (part) {
    part.addEventListener("toggle", function () { if (part.open) { drawSeen(part); } });
  });
  function onLink() {
    var target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    var part = target && target.closest("details.run");
    if (part) { part.open = true; target.scrollIntoView(); }
  }
  window.addEventListener("hashchange", onLink);
  dark.addEventListener("change", function () { drawSeen(document); });
  window.addEventListener("beforeprint", function () {
    root.classList.add("paper");
    Array.prototype.forEach.call(document.querySelectorAll("details.run"), function (part) { part.open = true; });
    drawSeen(document);
  });
  window.addEventListener("afterprint", function () { root.classList.remove("paper"); drawSeen(document); });
  onLink();
  drawSeen(document).then(function () { root.dataset.drawn = "yes"; });
})();
"""
