#!/bin/bash
# Fetches what the pages of `scapd report` carry from others, and checks it: the charts, in src/report/assets/, and their
# licences, in LICENSES/echarts.txt. Both are in git; a newer version takes new numbers and hashes here.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

# Package, version, SHA-256 of the archive of the npm registry.
packages=(
	'echarts 6.1.0 681aff88cc1038c3fa941a3a53d1b177a52250b05335efc607d6105ae13be481'
	'zrender 6.1.0 38f2fb722a638be016ca0175b139c40c886ef47fc2afdb741b2e7e7ae9683f9c'
	'tslib 2.3.0 ae285639feff7e3c39de4626352181a5d73b815725e42639b411c43848abffdb'
)

need npm sha256sum tar
root=$(realpath "$(dirname "$0")/..")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
for package in "${packages[@]}"; do
	read -r name version hash <<<"$package"
	npm pack --silent "$name@$version" >/dev/null || die "$name $version cannot be fetched"
	echo "$hash  $name-$version.tgz" | sha256sum --check --quiet || die "$name $version is not what it was: see $0"
	mkdir "$name"
	tar -xzf "$name-$version.tgz" -C "$name" --strip-components=1
done
install -m 644 echarts/dist/echarts.min.js "$root/src/report/assets/echarts.min.js"
{
	echo 'Apache ECharts is under the Apache License 2.0. Its notice, and the licences of what it has from others:'
	for file in echarts/NOTICE echarts/licenses/LICENSE-d3 zrender/LICENSE tslib/LICENSE.txt; do
		printf '\n==== %s\n\n' "$file"
		tr -d '\r' <"$file"
		echo
	done
} >"$root/LICENSES/echarts.txt"
say 'they are what they were'
