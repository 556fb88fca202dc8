# Prints energy.tsv as a Markdown table.
BEGIN { FS = "\t" }

function grouped(number,   text) {
    text = ""
    while (length(number) > 3) {
        text = "," substr(number, length(number) - 2) text
        number = substr(number, 1, length(number) - 3)
    }
    return number text
}

FNR == 1 {
    print "| update | tool | on air, bytes | flash written, bytes | blocks erased | instructions | a byte | RAM, bytes | CPU, mJ | flash, mJ | BLE, mJ | LoRa, mJ | in all with BLE, mJ | in all with LoRa, mJ |"
    print "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    next
}

{
    printf "| %s | %s | %s | %s | %s | %s | %.1f | %s | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f |\n", $1, $2, grouped($5),
        grouped($6), $7, grouped($8), $10, grouped($9), $11, $12, $13, $14, $15, $16
}
