// SPDX-License-Identifier: Apache-2.0

extension HTMLReport {
    /// SHA-256 of `script` for the page's policy: no other script runs. A test keeps it right.
    static let scriptHash = "sha256-G9sDxPkLHnADIuXIO+qayaFbGyR9qP3E4ocpRfpU3Vg="

    static let script = #"""

        "use strict";
        (() => {
          const by = id => document.getElementById(id);
          const main = by("main"), find = by("find"), shown = by("shown"), panel = by("panel"), none = by("none");
          const radios = [...document.querySelectorAll("input[name=only]")];
          const suites = [...main.querySelectorAll(".suite")];
          const rows = [...main.querySelectorAll(".cells tbody tr")];
          const suiteOf = new Map();
          for (const suite of suites) for (const row of suite.querySelectorAll("tbody tr")) suiteOf.set(row, suite);
          const boxes = suites.map(suite => suite.querySelector(".box"));
          const initial = suites.map(suite => suite.open);
          find.hidden = false;

          // A cell is one stop of the Tab key for each suite; the arrow keys reach the others.
          for (const link of main.querySelectorAll(".cells a")) link.tabIndex = -1;
          for (const suite of suites) suite.querySelector("td")?.setAttribute("tabindex", "0");

          // Filter.
          let texts = null, only = "a", words = "";
          const index = () => rows.map(row => {
            let text = suiteOf.get(row).querySelector("h3").textContent + "/" + row.cells[0].textContent;
            for (const link of row.querySelectorAll("a")) {
              const told = document.getElementById(link.hash.slice(1));
              if (told) text += " " + (told.parentNode.querySelector(".why") ?? told).textContent;
            }
            return text.toLowerCase();
          });
          const isShown = row => !row.classList.contains("x") && (only === "a" || row.classList.contains(only));
          function filter() {
            only = radios.find(radio => radio.checked).id.slice(5);
            const wanted = find.value.trim().toLowerCase();
            if (wanted !== words) {
              words = wanted;
              texts ??= index();
              const parts = words.split(/\s+/);
              rows.forEach((row, number) => row.classList.toggle("x", !parts.every(part => texts[number].includes(part))));
            }
            const counts = new Map();
            let count = 0;
            for (const row of rows) {
              if (!isShown(row)) continue;
              count++;
              counts.set(suiteOf.get(row), (counts.get(suiteOf.get(row)) ?? 0) + 1);
            }
            const isFiltered = only !== "a" || words !== "";
            // Few rows of many suites are in sight now; laid out with all of their rows before they move out of it, they
            // would cost a second. For a frame each suite is as high as its rows, and empty.
            if (main.querySelectorAll(".kernels tbody tr").length * rows.length > 5000) {
              main.classList.add("later");
              requestAnimationFrame(() => requestAnimationFrame(() => main.classList.remove("later")));
            }
            suites.forEach((suite, number) => {
              suite.classList.toggle("x", !counts.has(suite));
              // What is out of sight has the height of its rows, and is not laid out to know it.
              boxes[number].style.setProperty("--rows", counts.get(suite) ?? 0);
              const open = isFiltered ? counts.has(suite) : initial[number];
              if (suite.open !== open) suite.open = open;
            });
            none.hidden = count > 0;
            shown.textContent = isFiltered ? `${count} of ${rows.length} cases` : "";
          }
          find.addEventListener("input", filter);
          for (const radio of radios) radio.addEventListener("change", filter);
          // A browser may remember what was filtered before a reload.
          filter();

          // Cells.
          const isCell = cell => cell && cell.tagName === "TD" && cell.firstChild && cell.closest(".cells");
          function focus(cell) {
            const before = suiteOf.get(cell.parentNode).querySelector("td[tabindex='0']");
            if (before && before !== cell) before.setAttribute("tabindex", "-1");
            cell.setAttribute("tabindex", "0");
            cell.focus({preventScroll: true});
            cell.scrollIntoView({block: "nearest", inline: "nearest"});
          }
          function step(row, by) {
            let number = rows.indexOf(row) + by;
            while (rows[number] && !(isShown(rows[number]) && suiteOf.get(rows[number]).open)) number += by;
            return rows[number];
          }
          function move(cell, key) {
            const row = cell.parentNode, column = cell.cellIndex;
            if (key === "ArrowRight") return row.cells[column + 1];
            if (key === "ArrowLeft") return column > 1 ? row.cells[column - 1] : null;
            if (key === "Home") return row.cells[1];
            if (key === "End") return row.cells[row.cells.length - 1];
            const next = step(row, key === "ArrowDown" ? 1 : -1);
            return next && next.cells[column];
          }
          const element = (name, text, className) => {
            const one = document.createElement(name);
            if (text !== undefined) one.textContent = text;
            if (className) one.className = className;
            return one;
          };
          const names = {p: "passed", f: "failed", k: "known to fail", s: "skipped"};
          const quoted = word => /^[\w@%+=:,.\/-]+$/.test(word) ? word : "'" + word.replaceAll("'", "'\\''") + "'";
          let opened = null;
          function open(cell) {
            const row = cell.parentNode, suite = suiteOf.get(row);
            const suiteName = suite.querySelector("h3").textContent;
            const id = row.cells[0].firstChild.textContent.trimEnd();
            const title = row.cells[0].querySelector("i")?.textContent ?? "";
            const kernelRow = document.querySelectorAll(".kernels tbody tr")[cell.cellIndex - 1];
            const kernel = kernelRow.cells[0].textContent;
            const link = cell.querySelector("a");
            const told = link && document.getElementById(link.hash.slice(1));
            const head = element("header"), heading = element("h2", `${suiteName}/${id}`), close = element("button", "✕");
            heading.id = "panel-title";
            close.setAttribute("aria-label", "Close");
            close.addEventListener("click", shut);
            head.append(heading, close);
            const kind = cell.className[0];
            const state = element("p");
            state.append(element("b", `${cell.textContent} ${names[kind]}`, kind), ` on ${kernel}, ${cell.title}`);
            const body = [head, element("p", title), state];
            let command = null;
            if (told && told.tagName === "DIV") {
              const copy = told.cloneNode(true);
              copy.removeAttribute("id");
              body.push(copy);
              command = copy.querySelector(".command");
            } else {
              if (told) body.push(element("h4", "reason"), element("p", told.textContent));
              const spec = kernelRow.dataset.spec;
              command = element("pre", `bpftest run -k ${quoted(spec)} ${quoted(suiteName + "/" + id)}`, "command");
              body.push(element("h4", "Run it alone"), command);
            }
            if (command && navigator.clipboard) {
              const copy = element("button", "Copy");
              copy.addEventListener("click", async () => {
                try {
                  await navigator.clipboard.writeText(command.textContent);
                  copy.textContent = "Copied";
                } catch {
                  getSelection().selectAllChildren(command);
                }
              });
              command.after(copy);
            }
            panel.replaceChildren(...body);
            focus(cell);
            // Not modal: that would have the browser look at each of forty thousand cells, and other cells stay at hand.
            if (panel.open) heading.parentNode.querySelector("button").focus(); else panel.show();
            panel.scrollTop = 0;
            opened = cell;
          }
          function shut() {
            if (!panel.open) return;
            panel.close();
            opened?.focus({preventScroll: true});
          }
          main.addEventListener("click", event => {
            if (event.ctrlKey || event.metaKey || event.shiftKey) return;
            const cell = event.target.closest("td");
            if (!isCell(cell)) return shut();
            event.preventDefault();
            open(cell);
          });
          main.addEventListener("keydown", event => {
            if (event.ctrlKey || event.metaKey || event.altKey) return;
            const cell = event.target.closest("td");
            if (!isCell(cell) && !(cell && cell.closest(".cells"))) return;
            if (event.key === "Enter" || event.key === " ") {
              event.preventDefault();
              if (isCell(cell)) open(cell);
            } else if (["ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) {
              event.preventDefault();
              const next = move(cell, event.key);
              if (next) focus(next);
            }
          });
          document.addEventListener("keydown", event => {
            if (event.key === "Escape" && panel.open) {
              shut();
            } else if (event.key === "/" && event.target !== find) {
              event.preventDefault();
              find.focus();
            } else if (event.key === "Escape" && event.target === find && find.value) {
              find.value = "";
              filter();
            }
          });

          // A link into the diagnostics shows them.
          const reveal = () => {
            const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
            const details = target && target.closest("details");
            if (details) details.open = true;
            if (target) target.scrollIntoView();
          };
          addEventListener("hashchange", reveal);
          if (location.hash) reveal();
        })();

        """#
}
