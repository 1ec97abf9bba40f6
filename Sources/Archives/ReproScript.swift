// SPDX-License-Identifier: Apache-2.0

/// The text of `repro.sh`: the failure again with a POSIX shell and QEMU, and nothing else.
public enum ReproScript {
    /// - Parameter manifest: of an archive that has everything but its list of parts.
    public static func text(_ manifest: Manifest) -> String {
        guard let machine = manifest.machine, let judge = manifest.judge, let failure = manifest.failure else {
            preconditionFailure("a script for an archive without a machine")
        }
        // What is between marks is the shell's to fill in.
        var line = MachineLine(machine, kernel: "@kernel@", initramfs: "@initramfs@", accelerator: "tcg")
        line.hasSandbox = false
        var words: [String] = []
        var rest = line.arguments[...]
        while let word = rest.popFirst() {
            if word == "-accel" || word == "-cpu" {
                _ = rest.popFirst()
                continue
            }
            words.append(
                word == "@kernel@"
                    ? "\"$boot/vmlinuz\"" : word == "@initramfs@" ? "\"$work/initramfs\"" : shellWord(word))
        }
        let cards = machine.cards.isEmpty ? "" : machine.cards.joined(separator: " ")
        let patterns = Judgement.complaints.map { "-e \(shellWord($0))" }.joined(separator: " ")
        let allowed = (judge.allowed ?? []).map { "-e \(shellWord($0))" }.joined(separator: " ")
        let pass = allowed.isEmpty ? "" : "\n\t\tgrep -E -v \(allowed) |"
        let folder = manifest.bundle.map { "$here/../\($0)/boot" } ?? "$here/boot"
        return """
            #!/bin/sh
            # SPDX-License-Identifier: Apache-2.0
            # \(printable("\(failure.suite)/\(failure.id)", limit: 200)) on Linux \(printable(machine.release, limit: 100)).
            #
            # Boots the kernel in boot/ in a virtual machine, straight into the case that failed, and prints what comes of
            # it. It needs QEMU for x86 (Debian: apt-get install qemu-system-x86) and nothing else; nothing of it is
            # installed or kept, and the machine has neither network nor files.
            #
            #   QEMU=/path/to/qemu-system-x86_64 LIMIT=seconds ACCEL=tcg|kvm ./repro.sh
            #
            # Exit status: 1 the failure happened again, 0 it did not, 3 it could not be run.
            set -u
            # A console is bytes: in other locales grep takes some of them for no text.
            LC_ALL=C
            export LC_ALL
            here=$(cd "$(dirname "$0")" && pwd) || exit 3
            boot="\(folder)"
            qemu=${QEMU:-qemu-system-x86_64}
            limit=${LIMIT:-\(judge.limit)}
            kind=\(judge.kind.rawValue)
            cards='\(cards)'

            cannot() { echo "repro.sh: $*" >&2; exit 3; }
            if [ -n "$cards" ]; then
            	cannot "the case wants network cards ($cards) whose far ends only bpftest run drives"
            fi
            for file in "$boot/vmlinuz" "$boot/guest.cpio" "$here/boot/job.cpio"; do
            	[ -r "$file" ] || cannot "$file is missing: unpack all of the archive\(manifest.bundle == nil ? "" : ", and its bundle beside it")"
            done
            command -v "$qemu" >/dev/null 2>&1 ||
            	cannot "$qemu is not there: install it (Debian: apt-get install qemu-system-x86), or QEMU=/path/to/it"

            work=${TMPDIR:-/tmp}/bpftest-repro.$$
            (umask 077 && mkdir "$work") || cannot "$work cannot be made: TMPDIR=/another/folder"
            machine= watchdog=
            clean() {
            	[ -z "$machine" ] || kill -9 "$machine" 2>/dev/null
            	[ -z "$watchdog" ] || kill "$watchdog" 2>/dev/null
            	rm -rf "$work"
            }
            trap clean EXIT
            trap 'exit 3' HUP INT TERM

            # The kernel unpacks one archive after the other.
            cat "$boot/guest.cpio" "$here/boot/job.cpio" >"$work/initramfs" || cannot "$work is full: TMPDIR=/another/folder"
            accel=${ACCEL:-\(machine.accelerator)}
            [ "$accel" != kvm ] || [ -w /dev/kvm ] || accel=tcg
            if [ "$accel" = kvm ]; then cpu=host; else cpu=\(MachineLine.emulated); fi
            sandbox=
            if "$qemu" -sandbox help >"$work/help" 2>&1 && ! grep -q 'not supported' "$work/help"; then
            	sandbox='-sandbox \(MachineLine.sandbox)'
            fi

            # shellcheck disable=SC2086 # sandbox is two words or none
            "$qemu" $sandbox -accel "$accel" -cpu "$cpu" \(words.joined(separator: " ")) </dev/null >"$work/console" 2>"$work/errors" &
            machine=$!
            mark='bpftest-job: '
            # What the console has said since the job began, and the first of it that is the kernel complaining.
            said() { tr -d '\\r\\000' <"$work/console" | sed -n "/^\\[.*${mark}start/,\\$p"; }
            complaint() {
            	said | grep '^\\[' | grep -v -F -e "$mark" -e '\(Judgement.companion)' |
            		grep -F \(patterns) |
            		sed -e 's/^\\[ *[0-9]*\\.[0-9]*\\] \\{0,1\\}//' -e 's/^\\[ *[TC][0-9]*\\] \\{0,1\\}//' |\(pass)
            		head -n 1
            }
            # A sleep of its own for each second: killed, the watchdog leaves none behind for long.
            (
            	left=$limit
            	started=
            	while [ "$left" -gt 0 ]; do
            		sleep 1
            		kill -0 "$machine" 2>/dev/null || exit 0
            		left=$((left - 1))
            		# Init ends the job in its time, unless the kernel hangs.
            		if [ -z "$started" ] && [ -n "$(said | head -n 1)" ]; then
            			started=1
            			[ "$left" -le \(judge.seconds + 30) ] || left=\(judge.seconds + 30)
            		fi
            		# The rest of its trace is waited for; some machines never end then.
            		[ "$left" -le 20 ] || [ -z "$(complaint)" ] || left=20
            	done
            	: >"$work/late"
            	kill -9 "$machine" 2>/dev/null
            ) &
            watchdog=$!
            wait "$machine"
            status=$?
            machine=
            tr -d '\\r\\000' <"$work/console" >"$work/all"
            said >"$work/case"

            again() { echo "repro.sh: the failure happened again: $*"; exit 1; }
            not_again() { echo "repro.sh: the failure did not happen: $*"; exit 0; }

            if [ ! -e "$work/late" ] && [ "$status" -ne 0 ]; then
            	cat "$work/errors" >&2
            	cannot "QEMU failed (exit status $status)"
            fi
            if [ ! -s "$work/case" ]; then
            	tail -n 40 "$work/all"
            	[ "$kind" != boot ] || again "the kernel did not come as far as to the case"
            	[ ! -e "$work/late" ] || cannot "the kernel did not come as far as to the case in $limit s (LIMIT=seconds)"
            	cannot "the kernel did not come as far as to the case"
            fi
            cat "$work/case"
            [ "$kind" != boot ] || not_again "the kernel booted"
            complaint=$(complaint)
            [ -z "$complaint" ] || again "the kernel complained: $complaint"
            own() { grep '^\\[' "$work/case" | grep -F "$mark" | sed "s/.*${mark}//" | grep "^$1" | "$2" -n 1; }
            failed=$(own 'result not ok' head)
            [ -z "$failed" ] || again "${failed#result }"
            if [ -e "$work/late" ] || [ -n "$(own timeout head)" ]; then
            	[ "$kind" != timeout ] || again "the case has no result in its time"
            	cannot "it was not done in its time (LIMIT=seconds gives the whole of it longer than $limit s)"
            fi
            ended=$(own 'ended ' tail)
            if [ "$kind" = program ]; then
            	case $ended in
            	*' status 0' | *' status 4') not_again "the program $ended" ;;
            	esac
            	again "the program ${ended:-did not end}"
            fi
            result=$(own 'result ' tail)
            if [ -n "$result" ]; then
            	case $kind,$result in
            	absent,*'# SKIP'*) again "${result#result }" ;;
            	esac
            	not_again "${result#result }"
            fi
            again "the case has no result (${ended:-the machine went down})"

            """
    }
}
