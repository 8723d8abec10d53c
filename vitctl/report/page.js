"use strict";
// Hovering and zooming. The page is whole without this: charts, legends and tables are in it already.
for (const plot of document.querySelectorAll("[data-chart]")) {
  const figure = plot.closest("figure");
  const data = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
  const area = plot.querySelector(".area"), curves = plot.querySelector(".curves");
  const svg = (name, attributes, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const at = (axis, v) => axis.log
    ? Math.log(v / axis.low) / Math.log(axis.high / axis.low)
    : (v - axis.low) / (axis.high - axis.low);
  const from = (axis, share) => axis.log
    ? axis.low * (axis.high / axis.low) ** share
    : axis.low + share * (axis.high - axis.low);
  const digits = (v, n) => String(Number(v.toPrecision(n)));
  const short = (v, n = 4) => {
    for (const [scale, letter] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]])
      if (Math.abs(v) >= scale && Math.abs(v) < 1000 * scale) return digits(v / scale, n) + letter;
    return digits(v, n);
  };
  const asY = (v, n = 4) => data.y.share ? digits(100 * v, n) + " %" : short(v, n);
  const ticks = (axis, most) => {
    const values = [];
    if (axis.log) {
      for (const mantissas of [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 7]]) {
        const some = [];
        for (let e = Math.floor(Math.log10(axis.low)); e <= Math.log10(axis.high); e++)
          for (const m of mantissas) if (m * 10 ** e >= axis.low && m * 10 ** e <= axis.high) some.push(m * 10 ** e);
        if (some.length > most && values.length) break;
        values.splice(0, values.length, ...some);
      }
      if (values.length >= 3) return values.filter((_, i) => i % Math.ceil(values.length / most) === 0);
      values.length = 0;
    }
    const raw = (axis.high - axis.low) / most, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].find((s) => s * power >= raw * (1 - 1e-9)) * power;
    for (let i = Math.ceil(axis.low / step - 1e-9); i * step <= axis.high + step * 1e-9; i++) values.push(i * step);
    return values.filter((v) => !axis.log || v > 0);
  };
  const percent = (share) => (100 * share).toFixed(2) + "%";
  let x = data.x, y = data.y;
  const cursor = svg("line", { class: "cursor", y1: "0", y2: "100%", visibility: "hidden" });
  const chosen = svg("rect", { class: "chosen", y: "0", height: "100%", visibility: "hidden" });
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  plot.append(tip);
  const live = document.createElement("p");
  live.className = "hidden";
  live.setAttribute("aria-live", "polite");
  figure.append(live);

  const inside = (v) => v >= x.low && v <= x.high;
  const fitted = () => {
    if (x === data.x) return data.y;
    let low = Infinity, high = -Infinity;
    for (const line of data.lines) line.x.forEach((v, i) => {
      if (!inside(v)) return;
      low = Math.min(low, line.y[i], line.low ? line.low[i] : Infinity);
      high = Math.max(high, line.y[i], line.high ? line.high[i] : -Infinity);
    });
    if (!(low < high)) return data.y;
    if (data.y.log) return { ...data.y, low: low / (high / low) ** 0.04, high: high * (high / low) ** 0.04 };
    return { ...data.y, low: low - (high - low) * 0.04, high: high + (high - low) * 0.04 };
  };
  const points = (xs, ys) => xs.map((v, i) => (1000 * at(x, v)).toFixed(1) + "," + (1000 * (1 - at(y, ys[i]))).toFixed(1));
  const axisLabels = () => {
    const ys = plot.querySelector(".ys"), xs = plot.querySelector(".xs");
    const down = ticks(y, 6), across = ticks(x, 6);
    const text = (values, write) => {
      for (let n = 3; n < 12; n++) {
        const labels = values.map((v) => write(v, n));
        if (new Set(labels).size === labels.length) return labels;
      }
      return values.map((v) => write(v, 12));
    };
    ys.replaceChildren(...text(down, asY).map((label, i) => svg("text",
      { x: "100%", y: percent(1 - at(y, down[i])), dy: "0.32em", "text-anchor": "end" }, label)));
    xs.replaceChildren(...text(across, short).map((label, i) => {
      const share = at(x, across[i]);
      return svg("text", { x: percent(share), y: 14, "text-anchor": share < 0.05 ? "start" : share > 0.95 ? "end" : "middle" }, label);
    }));
    for (const line of area.querySelectorAll(":scope > .grid")) line.remove();
    for (const v of down) area.insertBefore(svg("line", { class: "grid", x1: 0, x2: "100%", y1: percent(1 - at(y, v)), y2: percent(1 - at(y, v)) }), curves);
    for (const v of across) area.insertBefore(svg("line", { class: "grid", y1: 0, y2: "100%", x1: percent(at(x, v)), x2: percent(at(x, v)) }), curves);
  };
  const redraw = () => {
    y = fitted();
    axisLabels();
    curves.replaceChildren(...data.lines.map((line) => {
      const group = svg("g", { class: "s" + line.style });
      if (!line.joined) return group;
      if (line.low) group.append(svg("polygon", { class: "band",
        points: [...points(line.x, line.low), ...points([...line.x].reverse(), [...line.high].reverse())].join(" ") }));
      group.append(svg("polyline", { class: "line", points: points(line.x, line.y).join(" ") }));
      return group;
    }));
    for (const old of area.querySelectorAll(":scope > .marks")) old.remove();
    for (const line of data.lines.filter((one) => one.marks)) {
      const group = svg("g", { class: "marks s" + line.style });
      line.x.forEach((v, i) => {
        if (!inside(v) || at(y, line.y[i]) < -0.01 || at(y, line.y[i]) > 1.01) return;
        if (!line.joined && line.low) group.append(svg("line", { class: "bar", x1: percent(at(x, v)), x2: percent(at(x, v)),
          y1: percent(1 - at(y, line.low[i])), y2: percent(1 - at(y, line.high[i])) }));
        group.append(svg("circle", { r: 3.5, cx: percent(at(x, v)), cy: percent(1 - at(y, line.y[i])) }));
      });
      area.append(group);
    }
    area.append(chosen, cursor);
    reset.disabled = x === data.x;
  };
  const nearest = (line, v) => {
    let low = 0, high = line.x.length - 1;
    while (high - low > 1) { const middle = (low + high) >> 1; if (line.x[middle] < v) low = middle; else high = middle; }
    return Math.abs(at(x, line.x[low]) - at(x, v)) < Math.abs(at(x, line.x[high]) - at(x, v)) ? low : high;
  };
  let shown = null;
  const show = (share, height, aloud = false) => {
    const v = from(x, share);
    let hits = data.lines.map((line) => [line, nearest(line, v)]).filter(([line, i]) => inside(line.x[i]));
    if (!hits.length) return hide();
    const scattered = data.lines.some((line) => !line.joined);
    const distance = ([line, i]) => Math.abs(at(x, line.x[i]) - share) + (scattered ? Math.abs(1 - at(y, line.y[i]) - height) : 0);
    if (scattered) {
      hits = data.lines.flatMap((line) => line.joined ? [[line, nearest(line, v)]] : line.x.map((_, i) => [line, i]));
      hits = [hits.sort((a, b) => distance(a) - distance(b))[0]];
    } else {
      const best = hits.reduce((a, b) => distance(b) < distance(a) ? b : a);
      const there = best[0].x[best[1]];
      hits = hits.filter(([line, i]) => Math.abs(at(x, line.x[i]) - at(x, there)) < 0.02);
      hits.sort((a, b) => b[0].y[b[1]] - a[0].y[a[1]]);
    }
    const [first, index] = hits[0];
    shown = first.x[index];
    cursor.setAttribute("x1", percent(at(x, shown)));
    cursor.setAttribute("x2", percent(at(x, shown)));
    cursor.setAttribute("visibility", "visible");
    const head = document.createElement("b");
    head.textContent = short(shown, 5) + " " + data.x.title;
    tip.replaceChildren(head, ...hits.slice(0, 8).map(([line, i]) => {
      const row = document.createElement("div"), name = document.createElement("span"), value = document.createElement("span");
      name.textContent = line.names.length ? line.names[i] : line.name;
      name.className = "s" + line.style;
      value.textContent = asY(line.y[i]) + (line.low && line.low[i] !== line.high[i]
        ? " (" + asY(line.low[i], 3) + " to " + asY(line.high[i], 3) + ")" : "");
      row.append(name, value);
      return row;
    }));
    tip.hidden = false;
    if (aloud) live.textContent = tip.innerText.replaceAll("\n", ", ");
    const left = area.getBoundingClientRect().left - plot.getBoundingClientRect().left;
    const room = plot.clientWidth - tip.offsetWidth, place = left + at(x, shown) * area.clientWidth;
    tip.style.left = Math.max(0, Math.min(room, place + (place > plot.clientWidth / 2 ? -tip.offsetWidth - 12 : 12))) + "px";
    tip.style.top = "8px";
  };
  const hide = () => { tip.hidden = true; cursor.setAttribute("visibility", "hidden"); };
  const zoom = (low, high) => {
    low = Math.max(0, low); high = Math.min(1, high);
    if (high - low < 1e-9) return;
    x = { ...data.x, low: from(x, low), high: from(x, high) };
    if (x.low <= data.x.low && x.high >= data.x.high) x = data.x;
    hide();
    redraw();
  };
  const out = () => {
    const wide = (side) => at(data.x, side), middle = (wide(x.low) + wide(x.high)) / 2, half = wide(x.high) - wide(x.low);
    x = data.x;
    if (2 * half < 1) zoom(middle - half, middle + half); else redraw();
  };
  const all = () => { x = data.x; hide(); redraw(); };
  const tools = document.createElement("div");
  tools.className = "tools";
  const button = (text, label, act) => {
    const node = document.createElement("button");
    node.type = "button";
    node.textContent = text;
    node.setAttribute("aria-label", label);
    node.title = label;
    node.addEventListener("click", act);
    tools.append(node);
    return node;
  };
  const around = () => tip.hidden ? 0.5 : at(x, shown);
  button("+", "Zoom in", () => zoom(around() - 0.25, around() + 0.25));
  button("−", "Zoom out", out);
  const reset = button("Reset", "Show all", all);
  reset.disabled = true;
  figure.append(tools);
  const share = (event) => {
    const box = area.getBoundingClientRect();
    return [Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)), (event.clientY - box.top) / box.height];
  };
  let begun = null;
  area.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button) return;
    begun = share(event)[0];
    area.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  area.addEventListener("pointermove", (event) => {
    const [across, down] = share(event);
    if (begun !== null && Math.abs(across - begun) > 0.005) {
      chosen.setAttribute("x", percent(Math.min(begun, across)));
      chosen.setAttribute("width", percent(Math.abs(across - begun)));
      chosen.setAttribute("visibility", "visible");
    }
    show(across, down);
  });
  area.addEventListener("pointerup", (event) => {
    chosen.setAttribute("visibility", "hidden");
    if (begun === null) return;
    const ended = share(event)[0], first = begun;
    begun = null;
    if (Math.abs(ended - first) > 0.01) zoom(Math.min(first, ended), Math.max(first, ended));
  });
  area.addEventListener("pointercancel", () => { begun = null; chosen.setAttribute("visibility", "hidden"); });
  area.addEventListener("pointerleave", () => { if (begun === null) hide(); });
  area.addEventListener("dblclick", all);
  area.setAttribute("tabindex", "0");
  area.addEventListener("blur", hide);
  area.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
    if (step) show(Math.min(1, Math.max(0, around() + step)), 0.5, true);
    else if (event.key === "+" || event.key === "=") zoom(around() - 0.25, around() + 0.25);
    else if (event.key === "-") out();
    else if (event.key === "Escape" || event.key === "0") all();
    else return;
    event.preventDefault();
  });
}
