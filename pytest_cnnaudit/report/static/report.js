"use strict";
(() => {
  // Stops of each colour map from no evidence to strongest, linear between them.
  const MAPS = {
    viridis: ["440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725"],
    inferno: ["000004", "210c4a", "57106e", "8a226a", "bc3754", "e45a31", "f98e09", "f9cb35", "fcffa4"],
    jet: ["00007f", "0000ff", "007fff", "00ffff", "7fff7f", "ffff00", "ff7f00", "ff0000", "7f0000"],
  };
  const ramp = (name) => {
    const stops = MAPS[name].map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
    return Array.from({ length: 256 }, (_, level) => {
      const at = (level / 255) * (stops.length - 1), i = Math.min(Math.floor(at), stops.length - 2);
      return stops[i].map((from, channel) => Math.round(from + (at - i) * (stops[i + 1][channel] - from)));
    });
  };
  const setting = { grid: "cells", colours: "viridis", opacity: 80 };
  const heatmaps = JSON.parse(document.getElementById("heatmaps").textContent);
  for (const map of Object.values(heatmaps)) {
    map.cells = Uint8Array.from(atob(map.values), (letter) => letter.charCodeAt(0));
  }

  // Bilinear with half-pixel centres, edges clamped.
  const smooth = (map, y, x) => {
    const clamp = (value, top) => Math.min(Math.max(value, 0), top);
    const top = clamp(y, map.height - 1), left = clamp(x, map.width - 1);
    const i = Math.floor(top), j = Math.floor(left);
    const below = Math.min(i + 1, map.height - 1), right = Math.min(j + 1, map.width - 1);
    const row = (k) => map.cells[k * map.width + j] * (1 - left + j) + map.cells[k * map.width + right] * (left - j);
    return row(i) * (1 - top + i) + row(below) * (top - i);
  };

  const paint = (canvas) => {
    const map = heatmaps[canvas.dataset.heatmap];
    const zoom = Math.max(1, Math.floor(512 / Math.max(map.height, map.width)));
    const cells = setting.grid === "cells", colours = ramp(setting.colours);
    canvas.width = map.width * zoom;
    canvas.height = map.height * zoom;
    const context = canvas.getContext("2d"), picture = context.createImageData(canvas.width, canvas.height);
    for (let y = 0, at = 0; y < canvas.height; y++) {
      for (let x = 0; x < canvas.width; x++, at += 4) {
        const level = cells
          ? map.cells[Math.floor(y / zoom) * map.width + Math.floor(x / zoom)]
          : smooth(map, (y + 0.5) / zoom - 0.5, (x + 0.5) / zoom - 0.5);
        picture.data.set(colours[Math.round(level)], at);
        // Where there is no evidence the picture stays visible; the gap between cells shows how coarse the map is.
        const gap = cells && zoom >= 8 && (y % zoom === 0 || x % zoom === 0);
        picture.data[at + 3] = (gap ? 0.4 : 1) * (90 + (165 * level) / 255);
      }
    }
    context.putImageData(picture, 0, 0);
    const edges = ["left", "top", "width", "height"];
    map.place.forEach((share, i) => { canvas.style[edges[i]] = `${100 * share}%`; });
    canvas.style.opacity = setting.opacity / 100;
  };

  const paintRamp = (canvas) => {
    const context = canvas.getContext("2d"), colours = ramp(setting.colours);
    for (let x = 0; x < canvas.width; x++) {
      context.fillStyle = `rgb(${colours[Math.round((255 * x) / (canvas.width - 1))].join(",")})`;
      context.fillRect(x, 0, 1, canvas.height);
    }
  };

  const paintAll = () => {
    document.querySelectorAll("canvas[data-heatmap]").forEach(paint);
    document.querySelectorAll("canvas.ramp").forEach(paintRamp);
  };

  document.querySelectorAll(".needs-script").forEach((element) => { element.hidden = false; });
  document.querySelectorAll(".tools").forEach((tools) => {
    tools.addEventListener("submit", (event) => event.preventDefault());
    tools.addEventListener("input", ({ target }) => {
      if (target.name === "regions") {
        document.body.classList.toggle("no-regions", !target.checked);
      } else if (target.name === "opacity") {
        setting.opacity = Number(target.value);
        tools.querySelector("output").textContent = `${target.value} %`;
        document.querySelectorAll("canvas[data-heatmap]").forEach((canvas) => { canvas.style.opacity = setting.opacity / 100; });
      } else {
        setting[target.name] = target.value;
        paintAll();
      }
    });
    tools.reset(); // browsers bring old settings back on reload
  });
  paintAll();

  const key = (row, column) => {
    const cell = row.cells[column];
    if (!("sort" in cell.dataset)) return cell.textContent;
    return cell.dataset.sort === "" ? -Infinity : Number(cell.dataset.sort);
  };
  document.querySelectorAll(".sortable").forEach((table) => {
    const headers = [...table.tHead.rows[0].cells];
    headers.forEach((header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = header.textContent;
      header.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = header.getAttribute("aria-sort") === "ascending", body = table.tBodies[0];
        headers.forEach((other) => other.removeAttribute("aria-sort"));
        header.setAttribute("aria-sort", down ? "descending" : "ascending");
        const order = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
        const rows = [...body.rows].sort((a, b) => (down ? -1 : 1) * order(key(a, column), key(b, column)));
        body.append(...rows);
      });
    });
  });
})();
