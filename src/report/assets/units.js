// Numbers and times as people read them.

const integer = new Intl.NumberFormat('en');

function formatCount(number) {
	return integer.format(number);
}

/** A number for an axis: 1.2 M. */
function formatShort(number) {
	for (const [unit, name] of [[1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) {
		if (number >= unit) return `${trim(number / unit)} ${name}`;
	}
	return trim(number);
}

function trim(number) {
	return String(Number(number.toPrecision(3)));
}

function formatTime(ns) {
	if (ns === null || ns === undefined) return '';
	for (const [unit, name] of [[3.6e12, 'h'], [6e10, 'min'], [1e9, 's'], [1e6, 'ms'], [1e3, 'µs']]) {
		if (ns >= unit * 0.9995) return `${digits(ns / unit)} ${name}`;
	}
	return `${Math.round(ns)} ns`;
}

function digits(value) {
	return value < 9.995 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : value.toFixed(0);
}

function formatBytes(bytes) {
	for (const [unit, name] of [[2 ** 40, 'TiB'], [2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB']]) {
		if (bytes >= unit) return `${(bytes / unit).toFixed(2)} ${name}`;
	}
	return `${bytes} B`;
}

function formatShare(share) {
	return share >= 0.0005 ? `${(share * 100).toFixed(1)} %` : '';
}

const formats = { count: formatCount, time: formatTime, bytes: formatBytes, share: formatShare };

/** The time of day of a time in ns since the start, with as many digits as bins are narrow. */
function clock(ns) {
	const at = start + BigInt(Math.round(ns));
	const [, time] = dateTime(Number(at / 1000000n)).split(' ');
	const fraction = String(at % 1000000000n).padStart(9, '0').slice(0, width < 1e5 ? 6 : width < 1e8 ? 3 : 1);
	return `${time}.${fraction}`;
}

/** The day of the first event. */
function day() {
	return dateTime(Number(BigInt(data.first) / 1000000n)).split(' ')[0];
}

/** A time in ms since the epoch, on the clock of the machine where the report was made, as in the lines of calls. */
function dateTime(ms) {
	return new Date(ms + data.offset * 1000).toISOString().slice(0, 19).replace('T', ' ');
}

/** A time in ns since the start as RFC 3339, in UTC, exactly. */
function exactTime(ns) {
	const at = start + BigInt(ns);
	const seconds = new Date(Number(at / 1000000000n) * 1000).toISOString().slice(0, 19);
	return `${seconds}.${String(at % 1000000000n).padStart(9, '0')}Z`;
}

/** Seconds since the first event, for an axis. */
function toAxis(ns) {
	return (ns - firstEvent) / 1e9;
}

function axisLabel(seconds) {
	if (seconds === 0) return '0';
	const ns = Math.abs(seconds) * 1e9;
	for (const [unit, name] of [[3.6e12, 'h'], [6e10, 'min'], [1e9, 's'], [1e6, 'ms'], [1e3, 'µs']]) {
		if (ns >= unit) return `${seconds < 0 ? '−' : ''}${Number((ns / unit).toPrecision(5))} ${name}`;
	}
	return `${seconds * 1e9} ns`;
}

/** How many threads there are on average. */
function formatThreads(number) {
	return `${trim(number)}${number === 1 ? ' thread' : ' threads'}`;
}

/** The name of what is not in a table. */
function othersName(table) {
	return table.others.groups > 0 ? `${formatCount(table.others.groups)} others` : 'others';
}
