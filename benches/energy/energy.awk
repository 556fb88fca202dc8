# Adds the estimated energy to what was counted:
#
#     awk -f energy.awk constants.tsv counted.tsv > energy.tsv
#
# counted.tsv: pair, tool, old_bytes, new_bytes, air_bytes, flash_bytes, blocks_erased, instructions, ram_bytes.
# Energies are in millijoules. Every constant comes from constants.tsv, which names its source.
BEGIN { FS = OFS = "\t" }

FNR == 1 { file++ }

file == 1 {
    if (FNR > 1) constant[$1] = $2 + 0
    next
}

FNR == 1 {
    print $0, "instructions_per_byte", "cpu_mj", "flash_mj", "ble_mj", "lora_mj", "total_ble_mj", "total_lora_mj"
    next
}

function c(name) {
    if (!(name in constant)) {
        print "energy.awk: constants.tsv lacks " name > "/dev/stderr"
        exit 1
    }
    return constant[name]
}

function ceil(x) { return x > int(x) ? int(x) + 1 : int(x) }

# Seconds that a Bluetooth packet of `bytes` is on air.
function ble_seconds(bytes) { return 8 * bytes * c("ble_bit_seconds") }

function ble_packet(payload) {
    return c("mcu_volt") * (c("ble_rx_amp") * (ble_seconds(payload + c("ble_overhead_bytes")) + 2 * c("ble_gap_seconds")) \
        + c("ble_tx_amp") * ble_seconds(c("ble_ack_bytes")))
}

# Seconds that a LoRa frame of `bytes` is on air: explicit header, CRC, no low data rate optimisation (Semtech's
# formula, SX1276 data sheet section 4.1.1.7).
function lora_seconds(bytes,   symbol, symbols) {
    symbol = 2 ^ c("lora_spreading") / c("lora_bandwidth")
    symbols = ceil((8 * bytes - 4 * c("lora_spreading") + 28 + 16) / (4 * c("lora_spreading")))
    if (symbols < 0) symbols = 0
    return symbol * (c("lora_preamble") + 4.25 + 8 + symbols * (c("lora_coding") + 4))
}

# An empty frame up, then one down.
function lora_packet(payload) {
    return c("lora_volt") * (c("lora_tx_amp") * lora_seconds(c("lora_uplink_bytes")) \
        + c("lora_rx_amp") * lora_seconds(payload + c("lora_overhead_bytes")))
}

{
    cpu = $8 * c("cycles_per_instruction") / c("mcu_hz") * c("mcu_volt") * c("cpu_amp")
    flash = c("flash_volt") * ($6 / c("flash_page_bytes") * c("flash_page_seconds") * c("flash_program_amp") \
        + $7 * c("flash_erase_seconds") * c("flash_erase_amp"))
    whole = int($5 / c("ble_payload_bytes")); rest = $5 % c("ble_payload_bytes")
    ble = whole * ble_packet(c("ble_payload_bytes")) + (rest ? ble_packet(rest) : 0)
    whole = int($5 / c("lora_payload_bytes")); rest = $5 % c("lora_payload_bytes")
    lora = whole * lora_packet(c("lora_payload_bytes")) + (rest ? lora_packet(rest) : 0)
    printf "%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\n", $0, $8 / $4, cpu * 1e3, flash * 1e3, ble * 1e3, lora * 1e3,
        (cpu + flash + ble) * 1e3, (cpu + flash + lora) * 1e3
}
