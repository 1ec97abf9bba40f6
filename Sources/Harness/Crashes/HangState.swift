// SPDX-License-Identifier: Apache-2.0
internal import Crashes
internal import VMRunner

/// Where the processors of a machine are that answers no more.
struct HangState: Sendable {
    var processors: [ProcessorState] = []
    /// The start of each one's stack, as words.
    var stacks: [[UInt64]] = []
    /// The handler of the first exception: where the kernel lies, for those who know where it was linked.
    var firstHandler: UInt64?
    /// What the kernel itself said to an NMI.
    var answer: [String] = []
    /// Why there is less than there should be.
    var problem: String?

    private static let stackWords = 256
    /// x86's first exception, in every kernel since 5.8 (9d06c4027f21).
    private static let firstHandlerName = "asm_exc_divide_error"

    /// Stops a machine, and reads what QEMU tells without the guest's help.
    ///
    /// - Parameter others: what happens meanwhile.
    static func read(_ machine: Machine, others: (Machine.Event) -> Void) -> HangState {
        var state = HangState()
        do {
            _ = try machine.ask("stop", others: others)
            state.processors = ProcessorState.parse(try machine.askMonitor("info registers -a", others: others))
            for processor in state.processors {
                // A user's stack says nothing of the kernel.
                guard processor.privilege == 0, processor.stack > 1 << 63 else {
                    state.stacks.append([])
                    continue
                }
                let line = "x/\(stackWords)gx 0x\(String(processor.stack, radix: 16))"
                let text = try machine.askMonitor(line, processor: processor.number, others: others)
                state.stacks.append(ProcessorState.words(text))
            }
            if let table = state.processors.first?.interruptTable, table != 0 {
                let gate = ProcessorState.words(
                    try machine.askMonitor("x/2gx 0x\(String(table, radix: 16))", others: others))
                if gate.count == 2 { state.firstHandler = ProcessorState.handler(gate: (gate[0], gate[1])) }
            }
        } catch {
            state.problem = "\(error)"
        }
        return state
    }

    /// Lets the machine go on with an NMI, and keeps what its kernel answers: it panics with its own backtrace.
    mutating func sendNMI(_ machine: Machine, others: (Machine.Event) -> Void) {
        var lines: [String] = []
        func gather(_ event: Machine.Event) {
            if case .console(let line) = event { lines.append(line) } else { others(event) }
        }
        do {
            _ = try machine.ask("cont", others: gather)
            _ = try machine.ask("inject-nmi", others: gather)
            let deadline = ContinuousClock.now + .seconds(5)
            while let event = try machine.next(until: deadline), lines.count < 400 {
                gather(event)
                if lines.last?.contains("---[ end Kernel panic") == true { break }
                if case .ended = event { break }
            }
        } catch {
            // One that is gone or answers nonsense has given the answer that it gives.
            if lines.isEmpty { problem = problem ?? "\(error)" }
        }
        answer = lines.map { ConsoleLine($0).text }
    }

    /// Adds it to a case's diagnostics.
    ///
    /// - Parameter symbols: the kernel's functions where they are in some machine; nil: unknown.
    func explain(_ diagnostics: inout [(key: String, value: String)], symbols: SymbolTable?, programs: BPFLines) {
        let shift = firstHandler.flatMap { here in symbols?.address(of: Self.firstHandlerName).map { here &- $0 } } ?? 0
        var places: [String] = []
        for (processor, stack) in zip(processors, stacks) {
            let what =
                processor.privilege == 3
                ? "in user space"
                : "in the kernel, interrupts \(processor.takesInterrupts ? "on" : "off")"
            // What waits is a task: the NMI's answer and the console may say more.
            if processor.isHalted, processor.privilege == 0 {
                places.append("processor \(processor.number), idle")
                continue
            }
            places.append("processor \(processor.number), \(what):")
            if processor.privilege == 3 {
                places.append("  0x\(String(processor.instruction, radix: 16))")
                continue
            }
            var moved = processor
            if programs.place(at: processor.instruction, isExact: true) == nil {
                moved.instruction = processor.instruction &- shift
            }
            let words = stack.map { programs.place(at: $0, isExact: false) == nil ? $0 &- shift : $0 }
            places += moved.trace(stack: words, symbols: symbols, programs: programs).map { "  \($0)" }
        }
        if !places.isEmpty { diagnostics.append(("hung_at", places.joined(separator: "\n"))) }
        let line = zip(processors, stacks).lazy.compactMap { processor, stack in
            processor.privilege == 0 && !processor.isHalted
                ? processor.programLine(stack: stack, programs: programs) : nil
        }.first
        if let line { diagnostics.append(("bpf_line", line)) }
        if !answer.isEmpty { diagnostics.append(("nmi", answer.joined(separator: "\n"))) }
        let registers = processors.flatMap { ["CPU#\($0.number)"] + $0.lines }
        if !registers.isEmpty { diagnostics.append(("registers", registers.joined(separator: "\n"))) }
        if let problem { diagnostics.append(("hang_problem", "not all is known: \(problem)")) }
    }

    /// Whether the kernel is hung, and not only the program that runs on it.
    var needsSymbols: Bool { processors.contains { $0.privilege == 0 && !$0.isHalted } }
}
