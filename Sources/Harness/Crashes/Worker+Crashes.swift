// SPDX-License-Identifier: Apache-2.0
internal import Crashes
internal import SystemPackage
internal import TAP
internal import VMRunner

extension Worker {
    /// Adds to a failed attempt what can be found out about its crash once its machine is gone: lines of source, names of
    /// the places where it hangs.
    ///
    /// - Parameter retold: what was seen when it was run again and its programs were told; nil where they were told at once.
    func explain(_ attempt: inout Attempt, _ source: MachineSource, retold: Retold? = nil) {
        let programs = attempt.programs
        if let own = attempt.hang {
            attempt.hang = nil
            // Where a program lies is chosen at random when it is loaded: addresses are of one machine.
            let hang = retold?.hang ?? own
            var found: [(key: String, value: String)] = []
            let symbols = hang.needsSymbols ? self.symbols(attempt.kernel, source) : nil
            hang.explain(&found, symbols: symbols, programs: Self.programs(programs, retold))
            for (key, value) in found { attempt.result.diagnostics[key] = value }
        }
        explain(&attempt.result.diagnostics, attempt.kernel, programs, retold: retold)
        for index in attempt.parts.indices { explain(&attempt.parts[index].diagnostics, attempt.kernel, programs) }
    }

    private func explain(
        _ diagnostics: inout Diagnostics, _ kernel: Int, _ programs: BPFLines, retold: Retold? = nil
    ) {
        var complaints = diagnostics.complaints
        var programs = programs
        guard let first = complaints.first else { return }
        if let retold, complaints.contains(where: { ResolvedTrace.hasBareAddresses($0) }) {
            // As with hangs; of another machine's programs nothing is said.
            let again = retold.diagnostics.complaints
            let isSame = again.first?.title == first.title
            (complaints, programs) = isSame ? (again, retold.own) : (complaints, BPFLines())
        }
        var traces = complaints.map { ResolvedTrace($0, programs: programs) }
        if let info = debugInfo(kernel) {
            do throws(DebugInfo.Missing) {
                traces = try info.resolve(complaints, programs: programs)
            } catch {
                say("\(context.name(kernel)): crashes have no lines of source: \(error)")
            }
        }
        let lines = traces.filter { !$0.isEmpty }.map { $0.lines.joined(separator: "\n") }
        if !lines.isEmpty { diagnostics["splat_trace"] = lines.joined(separator: "\n\n") }
        if let line = traces.lazy.compactMap(\.programLine).first { diagnostics["bpf_line"] = line }
    }

    /// The programs whose addresses those of a hang are.
    private static func programs(_ own: BPFLines, _ retold: Retold?) -> BPFLines {
        guard let retold else { return own }
        return retold.hang == nil ? BPFLines() : retold.own
    }

    private func say(_ text: String) { context.send(.log(text)) }

    // MARK: What is known of a kernel

    private func debugInfo(_ kernel: Int) -> DebugInfo? {
        if let known = crashKnowledge.debugInfo[kernel] { return known }
        let name = context.name(kernel)
        let build = context.kernel(kernel).build
        let file =
            context.options.crashes.vmlinux
            ?? DebugInfo.vmlinux(of: build, cache: context.cache) { say("\(name): \($0)") }
        var info: DebugInfo?
        if let file {
            do throws(DebugInfo.Missing) {
                info = try DebugInfo(file, environment: context.environment)
            } catch {
                say("\(name): crashes have no lines of source: \(error)")
            }
        }
        crashKnowledge.debugInfo[kernel] = .some(info)
        return info
    }

    /// The kernel's functions, as another machine of the same source tells.
    private func symbols(_ kernel: Int, _ source: MachineSource) -> SymbolTable? {
        if let known = crashKnowledge.symbols[kernel] { return known }
        var table: SymbolTable?
        do {
            let machine = try source.machine()
            defer { discard(machine) }
            let call = GuestCall(machine: machine, limit: .seconds(60), outputLimit: 64 << 20)
            let answer = try call.run([Agent.builtInPath, "symbols"])
            if let trouble = answer.trouble {
                say("\(context.name(kernel)): a hang has no names: \(trouble)")
            } else {
                table = SymbolTable(String(decoding: answer.output, as: UTF8.self))
            }
        } catch {
            say("\(context.name(kernel)): a hang has no names: \(error)")
        }
        crashKnowledge.symbols[kernel] = .some(table)
        return table
    }
}

/// What a worker has found out about kernels that broke.
struct CrashKnowledge {
    /// By kernel; nil inside: there is none.
    var debugInfo: [Int: DebugInfo?] = [:]
    var symbols: [Int: SymbolTable?] = [:]
    /// Have agents tell the lines of their programs: a case that crashed is run again.
    var reportsProgramLines = false
    /// What runs has failed before.
    var isRunAgain = false
}

/// What runs after the first one have shown of a crash.
struct Retold {
    /// Programs by name and tag, of all machines.
    private(set) var all: BPFLines
    /// Those of the machine that the rest is of.
    private(set) var own = BPFLines()
    private(set) var hang: HangState?
    private(set) var diagnostics = Diagnostics()

    init(all: BPFLines) {
        self.all = all
    }

    mutating func add(_ attempt: Attempt) {
        all.add(attempt.programs)
        guard own.isEmpty, attempt.result.outcome.isFailure else { return }
        (own, hang, diagnostics) = (attempt.programs, attempt.hang, attempt.result.diagnostics)
    }
}
