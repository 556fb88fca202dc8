#!/usr/bin/env bash
# What peers.sh prints, as Markdown: a line for every update, and per series and of all of them the geometric mean.
#
#     ./table.sh [peers.tsv]
#
# With figures of gmcf the last line says how often each peer's update is larger than gmcf's, by geometric mean.
set -euo pipefail
cd "$(dirname "$0")"

awk -F'\t' '
    function mean(key, column) { return count[key, column] ? exp(logs[key, column] / count[key, column]) : 0 }
    function add(key, column, bytes) { logs[key, column] += log(bytes); count[key, column]++ }
    function means(label, key,   column) {
        printf "| %s | *geometric mean* | | %.0f |", label, mean(key, 5)
        for (column = 6; column <= NF; column++)
            printf " %s |", count[key, column] ? sprintf("%.0f", mean(key, column)) : ""
        print ""
    }
    NR == 1 {
        printf "| series | update | files | new tree |"
        for (column = 6; column <= NF; column++) { printf " %s |", $column; if ($column == "gmcf") gmcf = column }
        printf "\n|---|---|--:|--:|"
        for (column = 6; column <= NF; column++) printf "--:|"
        print ""
        next
    }
    {
        if (series != "" && series != $1) means(series, series)
        series = $1
        printf "| %s | %s → %s | %d | %d |", $1, $2, $3, $4, $5
        for (column = 6; column <= NF; column++) printf " %s |", $column == "NA" ? "" : $column
        print ""
        for (column = 5; column <= NF; column++)
            if ($column != "NA") { add(series, column, $column); add("all", column, $column) }
        for (column = 6; column <= NF; column++)
            if ($column != "NA" && $gmcf != "NA") add("ratio", column, $column / $gmcf)
    }
    END {
        means(series, series)
        means("**all**", "all")
        if (count["ratio", gmcf]) {
            printf "| **all** | *times gmcf* | | |"
            for (column = 6; column <= NF; column++)
                printf " %s |", count["ratio", column] ? sprintf("%.2f", mean("ratio", column)) : ""
            print ""
        }
    }
' "${1:-peers.tsv}"
