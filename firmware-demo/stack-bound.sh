#!/usr/bin/env bash
# Bounds the stack of an image by its call graph:
#
#     ./stack-bound.sh IMAGE [ROOT [NEVER]]
#
# Disassembles IMAGE, adds up what each function pushes and reserves, and prints the deepest path from ROOT (a symbol;
# _start when left out) with its bytes in all. NEVER is a pattern of functions that are never called on this device,
# whatever the image holds. It is a bound, not a measurement: both arms of every branch count, and a
# jump to another function counts as a call. Fails where it could not be one: at a cycle of calls, or at a call through
# a pointer, whose target it cannot see.
# Exit status 77: there is no objdump for the image.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh

if [ $# -lt 1 ]; then
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0" >&2
    exit 2
fi
image=$1 root=${2:-_start} never=${3:-}

# e_machine of the ELF header: 40 is Arm, 243 is RISC-V.
case $(od -An -tu2 -j18 -N2 "$image" | tr -d ' ') in
    40) tool=arm-none-eabi-objdump package=binutils-arm-none-eabi ;;
    243) tool=riscv64-unknown-elf-objdump package=binutils-riscv64-unknown-elf ;;
    *) echo "stack-bound.sh: $image is neither for Arm nor for RISC-V" >&2 && exit 2 ;;
esac
ensure_packages "command -v $tool" "$package" || exit "$SKIPPED"

"$tool" -d --no-show-raw-insn "$image" | awk -v root="$root" -v never="$never" '
    # hex TEXT: its value.
    function hex(text,   i, value) {
        value = 0
        for (i = 1; i <= length(text); i++) value = 16 * value + index("0123456789abcdef", substr(text, i, 1)) - 1
        return value
    }
    # registers LIST: bytes that a push of `{r4, r5, r7-r9, lr}` takes.
    function registers(list,   n, parts, i, range, count) {
        gsub(/[{} ]/, "", list)
        n = split(list, parts, ",")
        for (i = 1; i <= n; i++) {
            count++
            if (split(parts[i], range, "-") == 2) {
                gsub(/[a-z]/, "", range[1]); gsub(/[a-z]/, "", range[2])
                count += range[2] - range[1]
            }
        }
        return count * (list ~ /^d/ ? 8 : 4)
    }
    /^[0-9a-f]+ <.*>:$/ {
        name = $0
        sub(/^[0-9a-f]+ </, "", name); sub(/>:$/, "", name)
        frame[name] += 0
        next
    }
    !/^ *[0-9a-f]+:/ { next }
    {
        line = $0
        sub(/^ *[0-9a-f]+:[ \t]*/, "", line)
        op = line; sub(/[ \t].*/, "", op)
        arguments = line; sub(/^[^ \t]+[ \t]*/, "", arguments)
        sub(/[ \t]*[;@].*/, "", arguments)
    }
    # What is pushed and reserved: Arm, then RISC-V.
    op ~ /^v?push(\.w)?$/ { frame[name] += registers(arguments) }
    op ~ /^(stmdb|stmfd)/ && arguments ~ /^sp!/ { sub(/^sp!, */, "", arguments); frame[name] += registers(arguments) }
    op ~ /^str/ && arguments ~ /\[sp, #-[0-9]+\]!/ {
        sub(/.*\[sp, #-/, "", arguments); sub(/\]!.*/, "", arguments)
        frame[name] += arguments
    }
    op ~ /^subw?(\.w)?$/ && arguments ~ /^sp, (sp, )?#/ { sub(/.*#/, "", arguments); frame[name] += arguments }
    # A frame too large for an immediate. Arm: movw r, #N; sub sp, r, or add sp, r with a literal below zero.
    op ~ /^ldr(\.w|\.n)?$/ && match(arguments, /^[a-z0-9]+, \[pc, #/) && match(line, /[@;] \([0-9a-fx]+ /) {
        address = substr(line, RSTART + 3, RLENGTH - 4)
        sub(/^0x/, "", address)
        sub(/,.*/, "", arguments)
        literal[arguments] = address
        delete value[arguments]
    }
    /\.word[ \t]+0x/ { address = $1; sub(/:/, "", address); word[address] = substr($NF, 3) }
    # RISC-V: lui r,N; addi r,r,M; sub sp,sp,r, or add with a value below zero.
    op ~ /^(c\.)?lui$/ { split(arguments, part, ","); value[part[1]] = 4096 * hex(substr(part[2], 3)) }
    op ~ /^(c\.)?addi?$/ && split(arguments, part, ",") == 3 && part[1] == part[2] && part[3] ~ /^-?[0-9]/ {
        if (part[1] in value) value[part[1]] += part[3]
    }
    op ~ /^(c\.)?(sub|add)$/ && split(arguments, part, ",") == 3 && part[1] == "sp" && part[2] == "sp" && part[3] ~ /^[a-z]/ {
        # Some 4 GiB are a number below zero.
        size = part[3] in value ? value[part[3]] % 4294967296 : -1
        if (size < 0) unknown[name] = 1
        else if (op ~ /sub/) frame[name] += size
        else if (size >= 2147483648) frame[name] += 4294967296 - size
    }
    op ~ /^movw?(\.w)?$/ && arguments ~ /^[a-z0-9]+, #[0-9]+$/ { split(arguments, part, ", #"); value[part[1]] = part[2]; delete literal[part[1]] }
    op ~ /^(sub|add)/ && arguments ~ /^sp, (sp, )?(r|ip|lr|fp|sl)[0-9]*$/ {
        sub(/.*, /, "", arguments)
        if (arguments in literal && op ~ /^add/) literals[name] = literals[name] " " literal[arguments]
        else if (arguments in value) frame[name] += value[arguments]
        else if (op ~ /^sub/) unknown[name] = 1
        else if (frame[name] < 508) unknown[name] = 1
    }
    op ~ /^(c\.)?add/ && arguments ~ /^sp,(sp,)?-[0-9]+$/ { sub(/.*-/, "", arguments); frame[name] += arguments }
    # Calls. A target inside the same function has the form <name+0x12>.
    (op ~ /^(bl|b|b\.w|b\.n|b[a-z][a-z](\.[nw])?|jal|jalr|jr|j|call|tail|cbz|cbnz|b(eq|ne|lt|ge|gt|le)[uz]*)$/) && match(line, /<[^>]*[^>]*>[^>]*$/) {
        target = substr(line, RSTART + 1)
        sub(/>[^>]*$/, "", target)
        base = target
        sub(/\+0x[0-9a-f]+$/, "", base)
        # The linker fills gaps between functions with d4d4, which reads as a jump to 84 bytes before.
        if (op ~ /^bmi/ && base != name) {
            address = line = $0
            sub(/^ */, "", address); sub(/:.*/, "", address)
            sub(/ *<[^<]*$/, "", line); sub(/.*[ \t]/, "", line)
            if (hex(address) - hex(line) == 84) next
        }
        if (base != name && !((name, base) in seen)) { seen[name, base] = 1; calls[name] = calls[name] SUBSEP base }
        else if (base == name && target == base && (op == "bl" || op == "call" || op == "jal")) recursive[name] = 1
    }
    # A call through a pointer. Jumps through a register without a link are jump tables, and stay inside: a Rust function
    # ends in a jump through a pointer only where it passes a call on, and then it calls through pointers elsewhere, too.
    op == "blx" && arguments ~ /^r[0-9]+$|^ip$|^lr$/ { pointer[name] = 1 }
    op == "jalr" && line !~ /</ { pointer[name] = 1 }

    # depth NAME: bytes of the deepest path from it.
    function depth(name,   n, parts, i, deepest, here) {
        if (name in known) return known[name]
        if (never && name ~ never) return 0
        if (name in active) { cycle = cycle " " name; return 0 }
        if (name in recursive) cycle = cycle " " name
        if (name in pointer) pointers = pointers " " name
        if (name in unknown) frames = frames " " name
        # What was taken from literals, which stand behind the code.
        n = split(literals[name], parts, " ")
        for (i = 1; i <= n; i++) {
            if (!(parts[i] in word)) frames = frames " " name
            else if (hex(word[parts[i]]) >= 2147483648) frame[name] += 4294967296 - hex(word[parts[i]])
        }
        active[name] = 1
        n = split(substr(calls[name], 2), parts, SUBSEP)
        for (i = 1; i <= n; i++) {
            here = depth(parts[i])
            if (here > deepest) { deepest = here; next_of[name] = parts[i] }
        }
        delete active[name]
        return known[name] = frame[name] + deepest
    }
    END {
        if (!(root in frame)) { printf "stack-bound.sh: no function %s\n", root > "/dev/stderr"; exit 2 }
        bound = depth(root)
        for (name = root; name != ""; name = next_of[name]) printf "%6d %s\n", frame[name], name > "/dev/stderr"
        if (cycle) printf "stack-bound.sh: calls in a cycle:%s\n", cycle > "/dev/stderr"
        if (pointers) printf "stack-bound.sh: calls through a pointer in:%s\n", pointers > "/dev/stderr"
        if (frames) printf "stack-bound.sh: frames of unknown size in:%s\n", frames > "/dev/stderr"
        if (cycle || pointers || frames) exit 1
        print bound
    }'
