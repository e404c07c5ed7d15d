// Charts. They show the selected time; tooltips are elements whose text is text.

/** Told apart also by those who see few colours. */
const PALETTE = ['#4269d0', '#efb118', '#ff725c', '#6cc5b0', '#3ca951', '#ff8ab7', '#a463f2', '#9c6b4e'];
const OTHERS = '#9498a0';
const USE_COLOURS = {
	running: '#3ca951', runnable: '#efb118', disk: '#4269d0', network: '#a463f2', pipes: '#6cc5b0', locks: '#ff725c',
	poll: '#b9bfc9', sleep: '#a3aab6', children: '#8d95a3', other: '#9c6b4e', unknown: '#5b5b5b',
};

const charts = [];

function colour(name) {
	return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Returns the colour of a share between two colours of the page. */
function ramp(share) {
	const parts = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
	const low = parts(colour('--low')), high = parts(colour('--high'));
	return `rgb(${low.map((part, at) => Math.round(part + (high[at] - part) * share)).join(',')})`;
}

/** Returns the element of a tooltip: a title, and rows of a name and a value. */
function tip(title, rows) {
	const list = element('dl');
	for (const [name, value] of rows) list.append(element('dt', { textContent: name }), element('dd', { textContent: value }));
	return element('div', { className: 'tip' }, element('b', { textContent: title }), list);
}

/** Makes a chart; `option` returns what it shows now, or null if there is nothing. */
function chart(place, label, option) {
	const made = echarts.init(place, null, { renderer: 'canvas' });
	place.setAttribute('role', 'img');
	const note = element('p', { className: 'note', hidden: true });
	place.after(note);
	const self = {
		made,
		place,
		show() {
			const shown = option(self);
			place.hidden = !shown;
			note.hidden = Boolean(shown);
			place.setAttribute('aria-label', `${label}; the table below has the numbers`);
			note.textContent = `${label}: nothing in the selected time.`;
			if (!shown) return;
			if (shown.height) place.style.height = `${shown.height}px`;
			made.resize();
			made.setOption({ ...common(), ...shown.option }, { notMerge: true });
		},
	};
	charts.push(self);
	return self;
}

function common() {
	return {
		animation: false,
		toolbox: { show: false },
		backgroundColor: 'transparent',
		textStyle: { color: colour('--text'), fontFamily: 'system-ui, "DejaVu Sans", sans-serif' },
	};
}

function tooltip(formatter, more) {
	return {
		confine: true, backgroundColor: colour('--ground'), borderColor: colour('--line'), textStyle: { color: colour('--text') },
		formatter, ...more,
	};
}

function timeAxis(from, to, more) {
	return {
		type: 'value', min: toAxis(from), max: toAxis(to),
		axisLabel: { color: colour('--soft'), formatter: axisLabel, hideOverlap: true, showMinLabel: false, showMaxLabel: false },
		axisLine: { show: true, lineStyle: { color: colour('--line') } }, axisTick: { show: true }, splitLine: { show: false }, ...more,
	};
}

function valueAxis(format) {
	return {
		type: 'value',
		axisLabel: { color: colour('--soft'), formatter: format }, splitLine: { lineStyle: { color: colour('--line') } },
	};
}

function grid(more) {
	return { left: 64, right: 16, top: 34, bottom: 28, ...more };
}

function legend(names) {
	return { type: 'scroll', selectedMode: false, top: 0, left: 56, itemWidth: 12, itemHeight: 10, textStyle: { color: colour('--text') }, data: names };
}

/** The gaps of the ledger, as areas. */
function gapAreas() {
	const areas = data.ledger.gap_spans.map(([from, to, lost]) => [
		{ xAxis: toAxis(from), name: `${formatShort(lost)} lost` }, { xAxis: toAxis(Math.max(to, from + width / 4)) },
	]);
	return {
		silent: true, data: areas, itemStyle: { color: colour('--gap'), opacity: 0.35 },
		label: { show: areas.length < 4, color: colour('--gap'), position: 'insideTop', fontSize: 11 },
	};
}

/** Bars, one above the other: `rows` have a name, a colour and a value for each bin. */
function stepSeries(rows, from, to) {
	const tops = new Array(count).fill(0);
	return rows.map(({ name, colour, values }, at) => {
		const bars = [];
		for (let bin = from; bin < to; bin++) {
			bars.push([toAxis((bin + 0.5) * width), tops[bin], tops[bin] + values[bin], values[bin], bin]);
			tops[bin] += values[bin];
		}
		return {
			name, type: 'custom', color: colour, data: bars, encode: { x: 0, y: [1, 2] }, clip: true, markArea: at === 0 ? gapAreas() : undefined,
			renderItem(_, api) {
				const [left, top] = api.coord([toAxis(api.value(4) * width), api.value(2)]);
				const [right, bottom] = api.coord([toAxis((api.value(4) + 1) * width), api.value(1)]);
				return { type: 'rect', shape: { x: left, y: top, width: right - left + 0.4, height: bottom - top }, style: { fill: colour } };
			},
		};
	});
}

/** The tooltip of such bars. */
function stepTip(format) {
	return tooltip((series) => {
		const bin = series[0].value[4];
		const rows = series.filter((one) => one.value[3] > 0).map((one) => [one.seriesName, format(one.value[3])]).reverse();
		const all = series.reduce((sum, one) => sum + one.value[3], 0);
		if (rows.length > 1) rows.push(['together', format(all)]);
		const lost = data.ledger.gap_spans.filter(([from, to]) => from < (bin + 1) * width && to >= bin * width);
		if (lost.length) rows.push(['events lost in a gap', formatCount(lost.reduce((sum, gap) => sum + Number(gap[2]), 0))]);
		return tip(`${clock(bin * width)}, for ${formatTime(width)}`, rows);
	}, { trigger: 'axis' });
}

/** How long the calls of a row took: a field for each bin and step, the darker the more calls. */
function heatOption(row) {
	const cells = [];
	let low = Infinity, high = 0, most = 0;
	for (const cell of row.cells) {
		if (cell.bin < selection.from || cell.bin >= selection.to) continue;
		for (const [step, number] of cell.steps) {
			cells.push([toAxis(cell.bin * width), step, number, cell.bin]);
			low = Math.min(low, step);
			high = Math.max(high, step);
			most = Math.max(most, number);
		}
	}
	if (!cells.length) return null;
	const step = toAxis(width) - toAxis(0);
	low -= low % 2;
	const interval = Math.max(2, Math.ceil((high + 2 - low) / 16) * 2);
	const top = low + Math.max(4, Math.ceil((high + 1 - low) / interval)) * interval;
	return {
		option: {
			grid: grid({ top: 12 }),
			tooltip: tooltip(({ value }) => tip(`${formatCount(value[2])} calls`, [
				['took', `${formatTime(stepStart(value[1]))} to ${formatTime(stepStart(value[1] + 1))}`],
				['ended', `${clock(value[3] * width)}, within ${formatTime(width)}`],
			])),
			xAxis: timeAxis(selection.from * width, selection.to * width),
			yAxis: {
				type: 'value', min: low, max: top, interval, splitLine: { lineStyle: { color: colour('--line') } },
				axisLabel: { color: colour('--soft'), formatter: (at) => formatTime(stepStart(Math.round(at))) },
			},
			series: [{
				type: 'custom', data: cells, encode: { x: 0, y: 1 }, clip: true, markArea: gapAreas(),
				renderItem(_, api) {
					const [x, y] = api.coord([api.value(0), api.value(1) + 1]);
					const [w, h] = api.size([step, 1]);
					const share = most > 1 ? Math.log(api.value(2)) / Math.log(most) : 1;
					return { type: 'rect', shape: { x, y, width: Math.max(w, 1), height: h }, style: { fill: ramp(share) } };
				},
			}],
		},
	};
}

const PROCESS_HEIGHT = 17;

/** The processes of the selected time: a bar from the start to the end of each. */
function treeOption(rows) {
	const from = selection.from * width, to = selection.to * width;
	if (!rows.length) return null;
	const label = (row) => {
		const text = `${'  '.repeat(Math.min(row.depth, 8))}${row.name} ${row.pid}`;
		return text.length > 30 ? `${text.slice(0, 29)}…` : text;
	};
	const bars = rows.map((row, at) => [toAxis(row.begin), toAxis(row.finish), at]);
	const marks = [];
	rows.forEach((row, at) => {
		for (const [ts, path] of row.programs) marks.push([toAxis(ts), at, 'exec', path]);
		for (const [ts, name] of row.signals) marks.push([toAxis(ts), at, 'signal', name]);
		if (row.ended) marks.push([toAxis(row.ended[0]), at, row.isBad ? 'bad' : 'good', row.ending]);
	});
	const shapes = {
		exec: ['triangle', '#efb118'], signal: ['diamond', '#a463f2'], good: ['circle', colour('--good')], bad: ['circle', colour('--bad')],
	};
	return {
		height: rows.length * PROCESS_HEIGHT + 50,
		option: {
			grid: grid({ left: 190, top: 8 }),
			tooltip: tooltip(({ seriesType, value }) => {
				const row = rows[seriesType === 'custom' ? value[2] : value[1]];
				const facts = [
					['command', row.command], ['user', row.user || ''], ['lived', `${row.started === null ? 'since before, ' : ''}${formatTime(row.finish - row.begin)}`],
					['ended', row.ending], ['calls', `${formatCount(row.calls)}, ${formatCount(row.errors)} failed`],
					['read, written', `${formatBytes(row.in_bytes)}, ${formatBytes(row.out_bytes)}`],
				];
				if (row.signal_count > 0) facts.push(['signals', formatCount(row.signal_count)]);
				if (value[2] === 'exec') facts.unshift(['executes', value[3]]);
				if (value[2] === 'signal') facts.unshift(['receives', value[3]]);
				return tip(`${row.name} ${row.pid}`, facts);
			}),
			xAxis: timeAxis(from, to, { splitLine: { show: true, lineStyle: { color: colour('--line') } } }),
			yAxis: {
				type: 'category', inverse: true, data: rows.map(label), axisTick: { show: false }, axisLine: { show: false },
				axisLabel: { color: colour('--text'), interval: 0, align: 'left', margin: 182, fontSize: 12 },
			},
			series: [{
				type: 'custom', data: bars, encode: { x: [0, 1], y: 2 }, clip: true, markArea: gapAreas(),
				renderItem(_, api) {
					const [x, y] = api.coord([api.value(0), api.value(2)]);
					const [end] = api.coord([api.value(1), api.value(2)]);
					const row = rows[api.value(2)];
					const shape = { x, y: y - PROCESS_HEIGHT * 0.32, width: Math.max(end - x, 1.5), height: PROCESS_HEIGHT * 0.64 };
					return { type: 'rect', shape, style: { fill: row.isBad ? colour('--bad') : colour('--chosen'), opacity: 0.45 } };
				},
			}, ...Object.entries(shapes).map(([kind, [symbol, fill]]) => ({
				type: 'scatter', symbol, symbolSize: kind === 'good' ? 5 : 9, itemStyle: { color: fill }, data: marks.filter((mark) => mark[2] === kind),
			}))],
		},
	};
}

/** Puts paths into folders; a folder with one entry is one with it. */
function folders(entries) {
	const root = { name: '', children: new Map() };
	for (const { path, value } of entries) {
		let at = root;
		for (const part of path.split('/').filter(Boolean)) {
			if (!at.children.has(part)) at.children.set(part, { name: part, children: new Map() });
			at = at.children.get(part);
		}
		at.own = (at.own || 0) + value;
	}
	const pack = (node, path) => {
		let name = node.name;
		while (node.children.size === 1 && node.own === undefined) {
			node = node.children.values().next().value;
			name = name ? `${name}/${node.name}` : node.name;
		}
		const whole = `${path}/${name}`;
		const children = [...node.children.values()].map((child) => pack(child, whole));
		if (!children.length) return { name, whole, value: node.own };
		if (node.own !== undefined) children.push({ name: '(itself)', whole, value: node.own });
		return { name: `${name}/`, whole, children };
	};
	return [...root.children.values()].map((node) => pack(node, ''));
}

function mapOption(entries, others, format) {
	const tree = folders(entries);
	if (others > 0) tree.push({ name: othersName(files), whole: othersName(files), value: others, itemStyle: { color: OTHERS } });
	if (!tree.length) return null;
	return {
		option: {
			color: PALETTE,
			tooltip: tooltip(({ data, value }) => tip((data && data.whole) || 'all files', [['', format(value)]])),
			series: [{
				type: 'treemap', name: 'all', data: tree, roam: false, left: 0, right: 0, top: 0, bottom: 26,
				breadcrumb: { bottom: 0, height: 20, itemStyle: { color: colour('--panel'), borderColor: colour('--line'), textStyle: { color: colour('--text') } } },
				label: { formatter: ({ name }) => name, overflow: 'truncate', color: '#fff', textBorderColor: 'rgba(0,0,0,.6)', textBorderWidth: 2 },
				upperLabel: { show: true, height: 18, color: colour('--text'), formatter: ({ name }) => name, overflow: 'truncate' },
				itemStyle: { borderColor: colour('--line'), borderWidth: 1, gapWidth: 1 },
				levels: [
					{ itemStyle: { borderColor: colour('--ground'), borderWidth: 0, gapWidth: 4 }, upperLabel: { show: false } },
					{ itemStyle: { borderColor: colour('--line'), borderWidth: 2, gapWidth: 2 } },
					{ itemStyle: { borderColor: colour('--panel'), borderWidth: 2, gapWidth: 1 } },
					{ itemStyle: { borderColor: colour('--line'), borderWidth: 1, gapWidth: 1 } },
				],
			}],
		},
	};
}

const MOST_ENDS = 16;

/** Who talks to whom: processes on the left, ports of machines on the right. */
function peersOption(links, format) {
	if (!links.length) return null;
	const ends = (side) => {
		const sums = new Map();
		links.forEach((link) => sums.set(link[side], (sums.get(link[side]) || 0) + link.value));
		return new Set([...sums].sort((a, b) => b[1] - a[1]).slice(0, MOST_ENDS).map(([name]) => name));
	};
	const lefts = ends('process'), rights = ends('peer');
	const joined = new Map();
	for (const { process, peer, value } of links) {
		const left = lefts.has(process) ? process : 'other processes', right = rights.has(peer) ? peer : 'other peers';
		const key = JSON.stringify([left, right]);
		joined.set(key, (joined.get(key) || 0) + value);
	}
	const nodes = new Map();
	const shown = [...joined].map(([key, value]) => {
		const [left, right] = JSON.parse(key);
		// A process and a peer may have the same name.
		nodes.set(`l${left}`, left);
		nodes.set(`r${right}`, right);
		return { source: `l${left}`, target: `r${right}`, value };
	});
	return {
		height: Math.max(140, Math.max(lefts.size, rights.size) * 30 + 30),
		option: {
			color: PALETTE,
			tooltip: tooltip(({ dataType, data, value }) => (dataType === 'edge'
				? tip(`${nodes.get(data.source)} – ${nodes.get(data.target)}`, [['', format(value)]])
				: tip(nodes.get(data.name), [['', format(value)]]))),
			series: [{
				type: 'sankey', left: 8, right: 190, top: 8, bottom: 8, nodeGap: 10, draggable: false, emphasis: { focus: 'adjacency' },
				data: [...nodes.keys()].map((name, at) => ({ name, itemStyle: { color: name[0] === 'l' ? PALETTE[at % PALETTE.length] : OTHERS } })), links: shown, lineStyle: { color: 'source', opacity: 0.35 },
				label: { color: colour('--text'), formatter: ({ name }) => nodes.get(name), overflow: 'truncate', width: 175 },
			}],
		},
	};
}
