// SPDX-License-Identifier: Apache-2.0

extension Complaint {
    /// What it is called: the same for the same trouble, whatever the addresses, processes, processors, times and
    /// offsets. In the manner of syzkaller's titles.
    public var title: String {
        let line = Self.withoutPrefix(firstLine)
        switch kind {
        case .panic:
            return "kernel panic: "
                + Self.plain(line.dropFirst("Kernel panic - not syncing".count).drop { ": ".contains($0) })
        case .kasan: return sanitizer("KASAN", line.dropFirst("BUG: KASAN: ".count))
        case .kmsan: return sanitizer("KMSAN", line.dropFirst("BUG: KMSAN: ".count))
        case .kfence: return sanitizer("KFENCE", line.dropFirst("BUG: KFENCE: ".count))
        case .kcsan: return "KCSAN: " + Self.plain(line.dropFirst("BUG: KCSAN: ".count))
        case .ubsan: return undefined(line.dropFirst("UBSAN: ".count))
        case .oops: return oops(line)
        case .bug: return bug(line)
        case .warning: return "WARNING in " + (warningPlace(line) ?? culprit ?? "?")
        case .lockdep: return lockdep(line)
        case .rcuUsage: return "suspicious RCU usage" + at(culprit)
        case .rcuStall: return "rcu stall" + at(stuckAt)
        case .softLockup: return "soft lockup" + at(stuckAt)
        case .hardLockup: return "hard lockup" + at(stuckAt)
        case .hungTask: return "task hung" + at(culprit)
        case .refcount: return "refcount bug" + at(culprit)
        case .kmemleak: return "memory leak" + at(culprit)
        case .oomKill:
            return "out of memory"
                + (line.hasPrefix("Memory cgroup") || text.contains("Memory cgroup out of") ? " in a cgroup" : "")
        case .unregisterNetdevice: return "unregister_netdevice: waiting for a device to become free"
        }
    }

    private func at(_ place: String?) -> String { place.map { " in \($0)" } ?? "" }

    // MARK: Kinds

    /// `slab-use-after-free in function+0x1/0x2`, and from the next line whether it read or wrote.
    private func sanitizer(_ name: String, _ rest: Substring) -> String {
        guard let range = rest.firstRange(of: " in ") else { return "\(name): " + Self.plain(rest) }
        let what = rest[..<range.lowerBound]
        let access = lines[headline...].lazy.compactMap { line -> String? in
            let words = line.split(separator: " ")
            guard words.count > 2, words[1] == "of", words[0] == "Read" || words[0] == "Write" else { return nil }
            return String(words[0])
        }.first
        // KFENCE says it itself; what is freed wrongly is neither read nor written.
        let how =
            what.contains("free") && !what.contains("after-free") || name != "KASAN"
            ? "" : access.map { " \($0)" } ?? ""
        let named = StackFrame(rest[range.upperBound...])
        let place =
            named.flatMap { Self.isBystander($0.symbol) ? nil : Self.name($0) } ?? culprit
            ?? named.map { Self.name($0) }
        return "\(name): \(what)\(how)" + at(place ?? Self.plain(rest[range.upperBound...]))
    }

    private func undefined(_ rest: Substring) -> String {
        guard let range = rest.firstRange(of: " in ") else { return "UBSAN: " + Self.plain(rest) }
        // The file's line moves with every change of the file.
        let file = rest[range.upperBound...].prefix { $0 != ":" }
        return "UBSAN: \(rest[..<range.lowerBound])" + at(culprit ?? String(file))
    }

    private func oops(_ line: Substring) -> String {
        let line = Trigger.withoutOops(line)
        let place = at(interrupted ?? culprit)
        if line.hasPrefix("BUG: kernel NULL pointer dereference") { return "NULL pointer dereference" + place }
        if line.hasPrefix("BUG: unable to handle ") || line.hasPrefix("Unable to handle ") {
            return "bad page fault" + place
        }
        if line.hasPrefix("general protection fault") {
            let isNull = lines.contains { $0.contains("KASAN: null-ptr-deref in range") }
            return (isNull ? "KASAN: null-ptr-deref" : "general protection fault") + place
        }
        let name = line.prefix { $0 != ":" && $0 != "," }
        return (name == "Oops" || name.hasPrefix("Oops ") ? "oops" : String(name)) + place
    }

    private func bug(_ line: Substring) -> String {
        if line.hasPrefix("kernel BUG at ") { return "kernel BUG" + at(interrupted ?? culprit) }
        let what = line.dropFirst("BUG: ".count)
        for (text, title) in [
            ("sleeping function called from invalid context", "sleeping function called from invalid context"),
            ("scheduling while atomic", "scheduling while atomic"),
            ("workqueue lockup", "workqueue lockup"), ("using ", "smp_processor_id() in preemptible code"),
        ] where what.hasPrefix(text) { return "BUG: \(title)" + at(culprit) }
        return "BUG: " + Self.plain(what)
    }

    private func lockdep(_ line: Substring) -> String {
        let what = line.hasPrefix("WARNING: ") ? line.dropFirst(9) : line
        let isDeadlock =
            ["possible ", "inconsistent lock state"].contains { what.hasPrefix($0) }
            || what.contains("unsafe lock order")
        // "at: function+0x1/0x2" behind the lock that is asked for.
        let place =
            lines[headline...].lazy.compactMap { line -> String? in
                guard let range = line.firstRange(of: "at: ") else { return nil }
                return StackFrame(line[range.upperBound...]).map { Self.name($0) }
            }.first ?? culprit
        if isDeadlock { return "possible deadlock" + at(place) }
        if what.hasSuffix("still has locks held!") { return "locks held at exit" + at(culprit) }
        let plain = what.filter { $0 != "[" && $0 != "]" && $0 != "!" && $0 != "." }.drop { $0 == " " }
        let isUser = what.contains("user space")
        return Self.plain(plain) + at(isUser ? nil : culprit)
    }

    // MARK: Places

    /// `WARNING: CPU: 0 PID: 61 at file.c:2100 function+0x1/0x2`, or since 6.19
    /// `WARNING: file.c:2100 at function+0x1/0x2, CPU#0: comm/61`.
    private func warningPlace(_ line: Substring) -> String? {
        for word in line.split(separator: " ") {
            let word = word.hasSuffix(",") ? word.dropLast() : word
            if let frame = StackFrame(word) { return Self.isBystander(frame.symbol) ? nil : Self.name(frame) }
        }
        return nil
    }

    /// Where the processor was, by the first RIP in it.
    private var interrupted: String? {
        lines.lazy.compactMap { line in
            StackFrame(line).flatMap { $0.isExact && !Self.isBystander($0.symbol) ? Self.name($0) : nil }
        }.first
    }

    private var stuckAt: String? { interrupted ?? culprit }

    /// The first function of the first call trace that is nobody's tool.
    private var culprit: String? {
        var isInTrace = kind == .kmemleak
        for line in lines[headline...] {
            if line.contains("Call Trace:") || line.contains("backtrace:") || line.contains("backtrace (crc") {
                isInTrace = true
            } else if isInTrace, let frame = StackFrame(line), !frame.isGuess, !Self.isBystander(frame.symbol) {
                return Self.name(frame)
            }
        }
        return nil
    }

    /// A function's name without what a compiler or the kernel has put to it: `.isra.0`, the tag of a program.
    static func name(_ frame: StackFrame) -> String {
        if let program = frame.program { return "bpf_prog_" + (program.name.isEmpty ? "?" : program.name) }
        return String(frame.symbol.prefix { $0 != "." })
    }

    /// Functions that stand at the top of many traces and are to blame for none.
    private static let bystanders: Set<String> = [
        "dump_stack", "show_stack", "__warn", "report_bug", "handle_bug", "print_report", "print_address_description",
        "memcpy", "memset", "memmove", "memcmp", "strlen", "strnlen", "strcmp", "strcpy", "string", "string_nocheck",
        "_copy_from_user", "_copy_to_user", "copy_from_kernel_nofault", "copy_to_kernel_nofault",
        "kmalloc", "kzalloc", "kcalloc", "kvmalloc", "kmemdup", "krealloc", "kstrdup", "vmalloc", "vzalloc",
        "slab_post_alloc_hook", "new_slab", "allocate_slab", "pcpu_alloc", "pcpu_alloc_noprof", "__alloc_percpu",
        "schedule", "__schedule", "preempt_schedule", "preempt_schedule_common", "schedule_timeout", "io_schedule",
        "schedule_preempt_disabled", "context_switch", "msleep", "mutex_lock", "mutex_lock_nested", "down_read",
        "down_write",
        "wait_for_completion", "do_wait_for_common", "rwbase_write_lock", "rt_mutex_slowlock_block",
        "__lock_acquire", "lock_acquire", "lock_release", "lockdep_rcu_suspicious", "check_noncircular",
        "print_circular_bug",
        "queued_spin_lock_slowpath", "native_queued_spin_lock_slowpath", "do_raw_spin_lock", "spin_bug",
        "refcount_warn_saturate", "list_del", "list_add", "rcu_sleep_check", "rcu_read_unlock_special",
        "panic", "vpanic", "check_panic_on_warn", "nmi_panic", "sysvec_apic_timer_interrupt",
        "asm_sysvec_apic_timer_interrupt", "check_memory_region", "handle_null_ptr_deref",
    ]

    private static let bystanderBeginnings = [
        "dump_stack_", "kasan_", "__kasan_", "__asan_", "ubsan_", "__ubsan_", "kmsan_", "__msan_", "kcsan_", "__tsan_",
        "kfence_",
        "refcount_", "__refcount_", "atomic_", "arch_atomic", "raw_atomic", "instrument_", "asm_exc_", "exc_",
        "lockdep_",
        "kmem_cache_alloc", "__kmalloc", "kmalloc_", "kvmalloc_", "__kvmalloc", "kvrealloc", "__kmem_cache",
        "___slab_alloc", "__slab_alloc", "kmemleak_",
        "__vmalloc", "vmalloc_", "kmemdup_", "krealloc_", "kstrdup_",
        "__might_", "might_", "__schedule", "_raw_spin_lock", "_raw_read_lock", "_raw_write_lock", "__raw_spin_lock",
        "__mutex_lock",
        "__list_", "debug_", "print_", "rcu_dereference", "rcu_lockdep", "usage_match", "check_prev", "__pfx_",
        "__warn_",
        "watchdog_", "nmi_", "perf_event_nmi", "rcu_sched_clock", "rcu_note_context_switch",
        "wait_for_", "__wait_for", "rwsem_down_", "__down_",
    ]

    static func isBystander(_ symbol: String) -> Bool {
        let name = String(symbol.prefix { $0 != "." })
        return bystanders.contains(name) || bystanderBeginnings.contains { name.hasPrefix($0) }
    }

    // MARK: Words

    /// Without the prefix of the file that says it.
    static func withoutPrefix(_ line: String) -> Substring {
        var rest = line[...]
        for prefix in ["watchdog: ", "NMI watchdog: ", "rcu: ", "traps: "] where rest.hasPrefix(prefix) {
            rest = rest.dropFirst(prefix.count)
        }
        return rest
    }

    /// A sentence without what is different each time: addresses and other long numbers, `CPU#0`, `comm[61]`, offsets.
    static func plain(_ text: some StringProtocol) -> String {
        var words: [String] = []
        for word in text.split(separator: " ") {
            let inner = String(word.filter { !",;:()[]<>!".contains($0) })
            if let frame = StackFrame(inner) {
                words.append(name(frame))
            } else if inner.hasPrefix("0x") || inner.utf8.count >= 8 && inner.allSatisfy(\.isHexDigit) {
                words.append("ADDR")
            } else if let equals = word.firstIndex(of: "="), word[word.index(after: equals)...].first?.isNumber == true
            {
                words.append(word[...equals] + "N")
            } else if !inner.isEmpty, inner.allSatisfy({ $0.isNumber }) {
                words.append("N")
            } else if let slash = word.lastIndex(of: "/"),
                word[word.index(after: slash)...].allSatisfy({ $0.isNumber }),
                word.index(after: slash) < word.endIndex
            {
                // comm/61
                words.append("TASK")
            } else {
                words.append(String(word))
            }
        }
        return String(words.joined(separator: " ").prefix(160))
    }
}
