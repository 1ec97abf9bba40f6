// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import VMRunner

/// Carries out a run over all its kernels.
public struct Runner: Sendable {
    public var qemu: QEMU
    public var guestFiles: GuestFiles
    public var folders: Folders
    public var options: RunOptions
    public var cancellation: Cancellation

    public init(
        qemu: QEMU, guestFiles: GuestFiles, folders: Folders, options: RunOptions, cancellation: Cancellation
    ) {
        self.qemu = qemu
        self.guestFiles = guestFiles
        self.folders = folders
        self.options = options
        self.cancellation = cancellation
    }

    /// Runs the selections on each kernel, one after another.
    ///
    /// Blocks its thread, which owns every QEMU that is started: call it on a thread made for it (`onThread`).
    /// - Returns: the counts over all kernels; a bail-out has been reported when this throws.
    public func run(
        kernels: [PreparedKernel], selections: [Selection], journal: Journal, work: WorkFolder
    ) throws(HarnessError) -> Tally {
        let deadline = options.runLimit.map { ContinuousClock.now + $0 }
        let agents = selections.map(\.agent).reduce(into: [Agent]()) { if !$0.contains($1) { $0.append($1) } }
        journal.observer?.planned(kernels.count * selections.map(\.cases.count).reduce(0, +))
        defer { journal.observer?.ended() }
        do throws(HarnessError) {
            try journal.tell { try $0.runStarted(kernels: kernels.count) }
            for kernel in kernels {
                if cancellation.isCancelled { throw HarnessError.cancelled }
                let factory = try MachineFactory(
                    qemu: qemu, kernel: kernel, agents: agents, guestFiles: guestFiles, options: options,
                    memory: AcceleratorMemory(folders: folders), work: work, cancellation: cancellation)
                let run = KernelRun(
                    kernel: kernel, selections: selections, options: options, factory: factory, journal: journal,
                    deadline: deadline)
                try run.run()
            }
            try journal.tell { try $0.runFinished(tally: journal.tally) }
            return journal.tally
        } catch {
            // The reader of the results must learn that they are not complete; when they cannot be written either,
            // the error itself still reaches the caller.
            try? journal.tell { try $0.bailedOut("\(error)") }
            throw error
        }
    }

    /// Runs a body on a thread of its own and waits for it without holding one of the concurrency runtime's.
    public static func onThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            let thread = Thread { continuation.resume(returning: body()) }
            thread.stackSize = 8 << 20
            thread.name = "bpftest-run"
            thread.start()
        }
    }
}
