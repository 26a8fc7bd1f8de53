// How the page looks, and the one thing it does: what stands under the pointer is told beside it.
import { COLORS } from "./theme.ts";

/** Style sheet of the page. */
export const PAGE_STYLE = `
:root { color: ${COLORS.ink}; background: #f3f4f6; font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
body { max-width: 1200px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 30px; margin: 0 0 6px; letter-spacing: -0.02em; }
h2 { font-size: 19px; margin: 0 0 4px; letter-spacing: -0.01em; }
p { color: ${COLORS.quiet}; margin: 0 0 14px; max-width: 88ch; }
section { background: white; border: 1px solid ${COLORS.line}; border-radius: 12px; padding: 22px 26px; margin-top: 20px; }
figure { margin: 0; overflow-x: auto; }
figure svg { display: block; max-width: 100%; height: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; white-space: nowrap; }
thead th { color: ${COLORS.quiet}; font-weight: 400; text-align: right; border-bottom: 1px solid ${COLORS.line}; padding: 4px 10px; vertical-align: bottom; white-space: normal; }
thead th:first-child { text-align: left; }
tbody th, td { padding: 3px 10px; border-bottom: 1px solid #f3f4f6; }
td { text-align: right; }
thead th.wide, td.wide { width: 210px; text-align: left; white-space: nowrap; }
.bar { display: inline-block; height: 10px; border-radius: 2px; max-width: 150px; vertical-align: baseline; margin-right: 6px; }
.bar.weights { background: ${COLORS.weights}; }
.bar.activations { background: ${COLORS.activations}; }
.bar.cache { background: ${COLORS.cache}; }
.value { color: ${COLORS.quiet}; font-size: 12px; }
.failed td { text-align: left; color: ${COLORS.outlier}; }
#tip { position: fixed; pointer-events: none; background: ${COLORS.ink}; color: white; font-size: 12px; padding: 3px 8px; border-radius: 5px; white-space: nowrap; }
`;

/** Script of the page: marks carry their description as their label. */
export const PAGE_SCRIPT = `
const tip = document.getElementById("tip");
document.addEventListener("pointermove", (event) => {
  const mark = event.target.closest("[role=graphics-symbol][aria-label]:not([aria-roledescription=axis])");
  tip.hidden = !mark;
  if (!mark) return;
  tip.textContent = mark.getAttribute("aria-label");
  tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + "px";
  tip.style.top = event.clientY + 14 + "px";
});
`;
