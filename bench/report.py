#!/usr/bin/python3
"""Turns figures of the benchmarks into one HTML page without outside references, and a picture for the README.

    bench/report.py --peers peers.json [--layers fusion.json] [--models models.json] --output build/report

peers.json comes from bench/peers/compare.py --json, the others from fusion_bench and model_bench with
--benchmark_out. Writes index.html and summary.png. Needs python3-matplotlib.
"""
import argparse
import base64
import html
import io
import json
import pathlib
import re
import statistics

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

INK, PAPER, GRID = "#1f2933", "#ffffff", "#d9dee4"
OURS, THEIRS, THIRD, FOURTH, FAINT = "#0b6e8f", "#e08e2b", "#8a5fa8", "#5d9e52", "#9fb3c1"
NAMES = {"onnxruntime": "ONNX Runtime", "opencv": "OpenCV dnn", "pytorch": "PyTorch", "sluice": "Sluice"}
COLORS = {"onnxruntime": THEIRS, "opencv": THIRD, "pytorch": FOURTH, "sluice": OURS}

plt.rcParams.update({
    "figure.facecolor": PAPER, "axes.facecolor": PAPER, "axes.edgecolor": GRID, "axes.labelcolor": INK,
    "axes.titlecolor": INK, "axes.titlesize": 12, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "grid.color": GRID, "grid.linewidth": 0.7, "text.color": INK, "xtick.color": INK, "ytick.color": INK,
    "font.family": "DejaVu Sans", "font.size": 9.5, "legend.frameon": False, "svg.fonttype": "none",
})


def svg(figure):
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight")
    plt.close(figure)
    return text.getvalue()[text.getvalue().index("<svg"):]


def ratios_chart(rows, threads):
    """How many times faster than each peer, a bar a network, whiskers from the first to the third quartile."""
    rows = [row for row in rows if row["threads"] == threads and "error" not in row["runtimes"]["sluice"]]
    peers = [p for p in NAMES if p != "sluice" and any("ratio" in r["runtimes"].get(p, {}) for r in rows)]
    figure, axes = plt.subplots(figsize=(9.5, 0.9 + 0.46 * len(rows)))
    height = 0.8 / max(1, len(peers))
    for i, peer in enumerate(peers):
        for j, row in enumerate(rows):
            facts = row["runtimes"].get(peer, {})
            y = j + (i - (len(peers) - 1) / 2) * height
            if "ratio" not in facts:
                axes.text(0.03, y, "cannot run it", va="center", fontsize=8, color=COLORS[peer])
                continue
            low, high = facts["ratio_quartiles"]
            axes.barh(y, facts["ratio"], height * 0.92, color=COLORS[peer], label=NAMES[peer] if j == 0 else None,
                      xerr=[[max(0, facts["ratio"] - low)], [max(0, high - facts["ratio"])]],
                      error_kw={"ecolor": INK, "elinewidth": 0.8})
            axes.text(max(high, facts["ratio"]) + 0.04, y, f"{facts['ratio']:.2f}", va="center", fontsize=8)
    axes.axvline(1, color=INK, linewidth=1)
    axes.set_yticks(range(len(rows)), [row["network"] for row in rows])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"times as fast as the peer, {threads} thread{'s' * (threads > 1)} (1 = equal; longer is better for Sluice)")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(dict(zip(labels, handles)).values(), dict(zip(labels, handles)).keys(), loc="lower right")
    return figure


def memory_chart(rows):
    rows = [row for row in rows if row["threads"] == max(r["threads"] for r in rows)]
    figure, both = plt.subplots(1, 2, figsize=(9.5, 0.9 + 0.34 * len(rows)), sharey=True)
    for axes, key, scale, title in [(both[0], "peak_rss_bytes", 1e-6, "peak memory, MB"), (both[1], "load_ms", 1, "load time, ms")]:
        for runtime in NAMES:
            points = [(row["runtimes"][runtime][key] * scale, j) for j, row in enumerate(rows)
                      if key in row["runtimes"].get(runtime, {})]
            axes.scatter([p[0] for p in points], [p[1] for p in points], color=COLORS[runtime], label=NAMES[runtime],
                         s=34, zorder=3)
        axes.set_xscale("log")
        axes.set_title(title)
    both[0].set_yticks(range(len(rows)), [row["network"] for row in rows])
    both[0].invert_yaxis()
    both[1].legend(loc="lower right")
    figure.tight_layout()
    return figure


def parse_benchmarks(path):
    data = json.loads(path.read_text())
    runs = {}
    for run in data["benchmarks"]:
        if run.get("error_occurred") or run.get("run_type") == "aggregate" and run.get("aggregate_name") != "median":
            continue
        name = run["name"].removesuffix("/real_time").removesuffix("_median").removesuffix("/real_time")
        runs[name] = run
    return runs


def layers_chart(runs, threads):
    """fusion_bench: LAYER/VARIANT/threads:N with counters GFLOP/s and peak_share."""
    layers = {}
    for name, run in runs.items():
        match = re.fullmatch(r"(.+)/(separate|fused|best)/threads:(\d+)", name)
        if match and int(match[3]) == threads:
            layers.setdefault(match[1], {})[match[2]] = run
    layers = {k: v for k, v in layers.items() if {"separate", "best"} <= set(v)}
    if not layers:
        return None
    order = sorted(layers, key=lambda k: layers[k]["separate"]["real_time"] / layers[k]["best"]["real_time"])
    figure, axes = plt.subplots(figsize=(9.5, 0.9 + 0.2 * len(order)))
    for j, layer in enumerate(order):
        base = layers[layer]["separate"]["real_time"]
        axes.barh(j, base / layers[layer]["best"]["real_time"], 0.75, color=OURS, label="best kernel, fused" if j == 0 else None)
        if "fused" in layers[layer]:
            axes.plot(base / layers[layer]["fused"]["real_time"], j, "|", color=THEIRS, markersize=9, markeredgewidth=2.5,
                      label="oneDNN with post-op" if j == 0 else None)
    axes.axvline(1, color=INK, linewidth=1)
    axes.set_yticks(range(len(order)), order, fontsize=7.5)
    axes.set_ylim(-0.7, len(order) - 0.3)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"times as fast as oneDNN's convolution and a separate Leaky ReLU, {threads} thread{'s' * (threads > 1)}")
    axes.legend(loc="lower right")
    return figure


def roofline_chart(runs, threads):
    points = {}
    for name, run in runs.items():
        match = re.fullmatch(r"(.+)/(separate|fused|best)/threads:(\d+)", name)
        if match and int(match[3]) == threads and "flop_per_byte" in run:
            points.setdefault(match[2], []).append((run["flop_per_byte"], run["GFLOP/s"] / 1e9 if run["GFLOP/s"] > 1e6 else run["GFLOP/s"]))
    peaks = [run for name, run in runs.items() if name == f"peak/fma/threads:{threads}"]
    widths = [run for name, run in runs.items() if name == f"peak/memory/threads:{threads}"]
    if not points or not peaks or not widths:
        return None
    peak = peaks[0]["GFLOP/s"] / (1e9 if peaks[0]["GFLOP/s"] > 1e6 else 1)
    width = widths[0]["GB/s"] / (1e9 if widths[0]["GB/s"] > 1e6 else 1)
    figure, axes = plt.subplots(figsize=(9.5, 4.6))
    span = [0.5, 2000]
    axes.plot([span[0], peak / width, span[1]], [span[0] * width, peak, peak], color=INK, linewidth=1.2,
              label=f"measured: {peak:.0f} GFLOP/s, {width:.1f} GB/s")
    for kind, color in [("separate", FAINT), ("fused", THEIRS), ("best", OURS)]:
        if kind in points:
            axes.scatter(*zip(*points[kind]), s=20, color=color, zorder=3,
                         label={"separate": "separate Leaky ReLU", "fused": "oneDNN with post-op", "best": "best kernel"}[kind])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(peak / 100, peak * 8)
    axes.set_xlabel("multiplications and additions of the direct algorithm for each byte of input, weights and output")
    axes.set_ylabel("GFLOP/s of the direct algorithm")
    axes.legend(loc="lower right")
    return figure


def scaling_chart(runs):
    curves, unfused = {}, {}
    for name, run in runs.items():
        match = re.fullmatch(r"(.+)/(fused|unfused)/threads:(\d+)", name)
        if match:
            (curves if match[2] == "fused" else unfused).setdefault(match[1], {})[int(match[3])] = run["real_time"]
    if not curves:
        return None
    most = max(max(c) for c in curves.values())
    figure, both = plt.subplots(1, 2, figsize=(9.5, 0.9 + 0.3 * max(8, len(curves))))
    for name, curve in curves.items():
        if 1 in curve and len(curve) > 1:
            threads = sorted(curve)
            both[0].plot(threads, [curve[1] / curve[t] for t in threads], marker="o", markersize=3, linewidth=1.2, label=name)
    both[0].plot([1, most], [1, most], color=INK, linewidth=0.8, linestyle=":")
    both[0].set_title("speed-up by threads")
    both[0].set_xlabel("threads")
    both[0].legend(fontsize=7)
    order = [n for n in curves if most in curves[n] and most in unfused.get(n, {})]
    gains = [unfused[n][most] / curves[n][most] for n in order]
    both[1].barh(range(len(order)), gains, 0.7, color=OURS)
    for j, gain in enumerate(gains):
        both[1].text(gain + 0.03, j, f"{gain:.2f}", va="center", fontsize=8)
    both[1].axvline(1, color=INK, linewidth=1)
    both[1].set_yticks(range(len(order)), order)
    both[1].invert_yaxis()
    both[1].grid(axis="y", visible=False)
    both[1].set_title(f"gain of the passes, {most} threads")
    figure.tight_layout()
    return figure


def peers_table(rows):
    cells = ["<table><thead><tr><th>network</th><th>threads</th><th>runtime</th><th>median</th><th>ratio (quartiles)</th>"
             "<th>peak memory</th><th>load</th><th>difference</th></tr></thead><tbody>"]
    for row in rows:
        for runtime, facts in row["runtimes"].items():
            cells.append(f"<tr class='{runtime}'><td>{row['network']}</td><td>{row['threads']}</td><td>{NAMES[runtime]}</td>")
            if "error" in facts:
                cells.append(f"<td colspan='5'>{html.escape(facts['error'][:120])}</td></tr>")
                continue
            ratio = "" if "ratio" not in facts else "{:.2f} ({:.2f} to {:.2f})".format(facts["ratio"], *facts["ratio_quartiles"])
            difference = f"{facts['error_to_reference']:.1e}" if "error_to_reference" in facts else ""
            cells.append(f"<td>{facts['median_ms']:.1f} ms</td><td>{ratio}</td><td>{facts['peak_rss_bytes'] / 1e6:.0f} MB</td>"
                         f"<td>{facts['load_ms']:.0f} ms</td><td>{difference}</td></tr>")
    return "".join(cells) + "</tbody></table>"


def summary_line(rows, threads):
    parts = []
    for peer in NAMES:
        ratios = [r["runtimes"][peer]["ratio"] for r in rows if r["threads"] == threads and "ratio" in r["runtimes"].get(peer, {})]
        if ratios:
            parts.append(f"{statistics.geometric_mean(ratios):.2f} times as fast as {NAMES[peer]} over {len(ratios)} networks "
                         f"(geometric mean; least {min(ratios):.2f}, most {max(ratios):.2f})")
    return f"{threads} thread{'s' * (threads > 1)}: " + "; ".join(parts)


STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.55 system-ui, "DejaVu Sans", sans-serif; color: #1f2933; background: #f4f6f8; margin: 0; }
main { max-width: 1000px; margin: 0 auto; padding: 32px 20px 60px; }
h1 { font-size: 27px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 0 0 10px; }
.facts { color: #52606d; margin: 0 0 22px; }
section { background: #fff; border: 1px solid #e1e6eb; border-radius: 10px; padding: 20px 22px; margin: 0 0 20px; }
section svg { width: 100%; height: auto; } p.note { color: #52606d; font-size: 13.5px; margin: 8px 0 0; }
ul.summary { margin: 0; padding-left: 18px; } .scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { text-align: left; padding: 4px 10px 4px 0; border-bottom: 1px solid #e8ecf0; white-space: nowrap; }
tr.sluice td { font-weight: 600; }
"""


def section(title, figure, note=""):
    if figure is None:
        return ""
    body = svg(figure) if not isinstance(figure, str) else f"<div class='scroll'>{figure}</div>"
    return f"<section><h2>{title}</h2>{body}<p class='note'>{note}</p></section>"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=pathlib.Path, required=True)
    parser.add_argument("--layers", type=pathlib.Path)
    parser.add_argument("--models", type=pathlib.Path)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    args = parser.parse_args()
    data = json.loads(args.peers.read_text())
    rows, machine = data["rows"], data["machine"]
    threads = sorted({row["threads"] for row in rows})
    versions = {r: f["version"] for row in rows for r, f in row["runtimes"].items() if "version" in f}
    facts = f"{machine['cpu']}, {machine['cores']} cores, {machine['vector']}; {machine['date']}; " + ", ".join(
        f"{NAMES[r]} {v}" for r, v in versions.items())
    parts = ["<section><h2>In short</h2><ul class='summary'>"
             + "".join(f"<li>{summary_line(rows, t)}</li>" for t in threads) + "</ul></section>"]
    for t in reversed(threads):
        parts.append(section(f"Against other runtimes, {t} thread{'s' * (t > 1)}", ratios_chart(rows, t),
                             "Runtimes took turns on the same machine; a bar is the median of the ratios of neighbouring turns, "
                             "the whisker runs from the first to the third quartile."))
    parts.append(section("Memory and load time", memory_chart(rows), "Peak resident memory of a process that loads the model and runs it."))
    if args.layers:
        layers = parse_benchmarks(args.layers)
        for t in sorted({int(m[1]) for n in layers if (m := re.search(r"threads:(\d+)", n))}, reverse=True):
            parts.append(section(f"What fusion gains, layer by layer, {t} thread{'s' * (t > 1)}", layers_chart(layers, t)))
            parts.append(section(f"Roofline, {t} thread{'s' * (t > 1)}", roofline_chart(layers, t),
                                 "Work is counted as the direct algorithm needs it, so a Winograd kernel may lie above the roof."))
    if args.models:
        parts.append(section("Threads and passes", scaling_chart(parse_benchmarks(args.models))))
    parts.append(section("All figures", peers_table(rows),
                         "Difference: the largest to ONNX Runtime's outputs, as a share of their largest magnitude."))
    args.output.mkdir(parents=True, exist_ok=True)
    figure = ratios_chart(rows, threads[-1])
    figure.axes[0].set_title(f"Sluice {versions.get('sluice', '')} against other runtimes", fontsize=13, pad=14)
    figure.text(0.02, -0.01, facts, fontsize=8, color="#52606d")
    figure.savefig(args.output / "summary.png", dpi=130, bbox_inches="tight")
    plt.close(figure)
    icon = base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><rect width='8' height='8' rx='2' fill='#0b6e8f'/></svg>").decode()
    (args.output / "index.html").write_text(
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Sluice benchmarks</title>"
        f"<meta name='viewport' content='width=device-width'><link rel='icon' href='data:image/svg+xml;base64,{icon}'>"
        f"<style>{STYLE}</style></head><body><main><h1>Sluice benchmarks</h1><p class='facts'>{html.escape(facts)}</p>"
        + "".join(parts) + "</main></body></html>\n")
    print(f"{args.output}/index.html and {args.output}/summary.png")


if __name__ == "__main__":
    main()
