// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import LinuxIO
internal import SystemPackage
internal import TAP
internal import VMRunner

/// What workers tell the reporting thread.
enum RunEvent: Sendable {
    case kernelReady(Int, comments: [String])
    case kernelMissing(Int, HarnessError)
    case kernelBroken(Int, BootFailure, console: [String], comments: [String])
    case started(CaseID, kernel: Int, worker: Int)
    case idle(worker: Int, doing: String?)
    case attempt(Attempt, worker: Int)
    case log(String)
    /// The run cannot go on.
    case trouble(HarnessError)
    case ended(worker: Int)
}

/// What all workers of a run share.
struct RunContext: Sendable {
    var request: RunRequest
    var options: RunOptions
    var deadline: ContinuousClock.Instant?
    /// A kernel, what its machines must have, and what gets the log.
    typealias MakesFactory =
        @Sendable (PreparedKernel, MachineKind, @escaping @Sendable (String) -> Void) throws(HarnessError)
        -> MachineFactory
    /// Makes a kernel's factory; called by the worker that makes the kernel's machines first.
    var factory: MakesFactory
    /// Machines that have more than the others of a run.
    var kinds: MachineKinds
    /// Start the next machine before it is needed: there are processors to spare.
    var warmsAhead: Bool
    var memory: MemoryUse
    /// bpftest's cache: what kernels were built in may be there.
    var cache: FilePath
    var environment: [String: String]
    var send: @Sendable (RunEvent) -> Void

    var selections: [Selection] { request.selections }

    /// A kernel that a job is about: no job is handed out before it is there.
    func kernel(_ number: Int) -> PreparedKernel {
        guard let kernel = request.kernels[number].prepared else {
            preconditionFailure("a job for a kernel that is not there")
        }
        return kernel
    }

    /// What reports call a kernel: as it calls itself, or, while it is not there, as the user does.
    func identity(_ kernel: Int) -> KernelIdentity {
        request.kernels[kernel].prepared?.identity ?? KernelIdentity(name: request.kernels[kernel].spec)
    }

    /// The name in reports.
    func name(_ kernel: Int) -> String { identity(kernel).name }
}

/// One thread's share of a run: takes jobs, runs cases in machines of its own, and says what becomes of them.
final class Worker {
    let number: Int
    let context: RunContext
    let schedule: Schedule
    var crashKnowledge = CrashKnowledge()
    private var spare: (kernel: Int, settings: MachineSettings, machine: Machine)?

    init(number: Int, context: RunContext, schedule: Schedule) {
        self.number = number
        self.context = context
        self.schedule = schedule
    }

    /// Works until there is nothing left. Machines die with the calling thread.
    func run() {
        defer {
            spare?.machine.kill()
            context.send(.ended(worker: number))
        }
        while let job = schedule.next() {
            defer {
                // Nothing of the kernel is left to do: its frozen machines need no memory any more.
                if let kernel = schedule.finished(job) { context.kinds.forget(kernel) }
            }
            do throws(HarnessError) {
                switch job {
                case .makeSource(let kernel): try makeSource(kernel)
                case .run(let unit, let source):
                    switch unit.purpose {
                    case .plain: try run(unit, source)
                    case .confirm(let attempt, let before): try confirm(attempt, unit, before, source)
                    }
                }
                context.send(.idle(worker: number, doing: nil))
            } catch {
                context.send(.trouble(error))
                schedule.stop()
                return
            }
        }
    }

    // MARK: Machines

    private func makeSource(_ kernel: Int) throws(HarnessError) {
        let name = context.name(kernel)
        context.send(.idle(worker: number, doing: "booting \(name)"))
        let send = context.send
        let factory = try context.factory(context.kernel(kernel), MachineKind()) { send(.log($0)) }
        do {
            let source = try factory.source { machine in self.spare = (kernel, machine.settings, machine) }
            let comments = ["accelerator: \(source.reason)"] + source.notes.map { "guest: \($0)" }
            context.send(.kernelReady(kernel, comments: comments))
            schedule.made(source, kernel: kernel)
        } catch .boot(let failure, let console) {
            context.send(
                .kernelBroken(
                    kernel, failure, console: console, comments: ["accelerator: \(factory.reason)"]))
            schedule.sawFailure()
            schedule.made(nil, kernel: kernel)
        } catch .cancelled {
            throw .cancelled
        } catch {
            throw .infrastructure(Self.text(error))
        }
    }

    private static func text(_ error: MachineError) -> String {
        let console = error.console.isEmpty ? "" : "; console: " + error.console.suffix(5).joined(separator: " | ")
        return "\(error)\(console)"
    }

    /// The source of the machines that a unit wants: the kernel's own, or one for machines that have more.
    ///
    /// - Returns: how the kernel failed to boot with these.
    func source(
        for unit: WorkUnit, _ source: MachineSource
    ) throws(HarnessError) -> Result<MachineSource, MachineKinds.Broken> {
        guard unit.machine.cpus > source.settings.cpus || unit.machine.cards != source.settings.cards else {
            return .success(source)
        }
        return try context.kinds.source(kernel: unit.kernel, machine: unit.machine) { () throws(HarnessError) in
            context.send(.idle(worker: number, doing: "booting with \(unit.machine.text)"))
            let send = context.send
            let factory = try context.factory(context.kernel(unit.kernel), unit.machine) { send(.log($0)) }
            do throws(MachineError) {
                return .success(try factory.source { $0.kill() })
            } catch .boot(let failure, let console) {
                return .failure(MachineKinds.Broken(failure: failure, console: console))
            } catch .cancelled {
                throw .cancelled
            } catch {
                throw .infrastructure(Self.text(error))
            }
        }
    }

    /// A machine that nothing has run in yet.
    ///
    /// - Returns: how the kernel failed to boot: without a zygote each machine is booted, and one may fail to.
    func freshMachine(
        _ kernel: Int, _ source: MachineSource
    ) throws(HarnessError) -> (machine: Machine?, failure: (BootFailure, [String])?) {
        if let spare, spare.kernel == kernel, spare.settings == source.settings, spare.machine.end == nil {
            self.spare = nil
            return (spare.machine, nil)
        }
        context.send(.idle(worker: number, doing: source.zygote == nil ? "booting" : "restoring"))
        do {
            return (try source.machine(), nil)
        } catch .boot(let failure, let console) {
            return (nil, (failure, console))
        } catch .cancelled {
            throw .cancelled
        } catch {
            throw .infrastructure(Self.text(error))
        }
    }

    /// Starts the machine that will be needed next, on a processor that has nothing else to do.
    func warmAhead(_ kernel: Int, _ source: MachineSource) throws(HarnessError) {
        guard context.warmsAhead, source.zygote != nil else { return }
        if let spare {
            if spare.kernel == kernel, spare.settings == source.settings { return }
            spare.machine.kill()
            self.spare = nil
        }
        if let machine = try freshMachine(kernel, source).machine {
            spare = (kernel, source.settings, machine)
        }
    }

    /// Ends a machine that is not needed any more.
    func discard(_ machine: Machine) {
        context.memory.note(machine)
        machine.kill()
        // The console of a machine that went well says nothing that anybody would look for.
        if let file = machine.consoleFile { _ = unsafe unlink(file) }
    }
}
