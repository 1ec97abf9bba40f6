// SPDX-License-Identifier: Apache-2.0
internal import Archives
internal import Foundation
internal import LinuxIO
internal import SystemPackage
internal import VMRunner

/// Runs what an archive holds, in a machine without a host.
struct ArchiveRun {
    let qemu: QEMU
    let machine: Manifest.Machine
    let judge: Manifest.Judge
    let kernel: FilePath
    /// Both parts of the guest image, one behind the other.
    let initramfs: FilePath
    let accelerator: Accelerator
    /// Of the machines' names.
    let owner: String
    let cancellation: Cancellation

    struct Outcome {
        var verdict: Judgement
        var console: [UInt8]
    }

    func line(_ tape: MachineLine.Tape? = nil) -> MachineLine {
        var line = MachineLine(
            machine, kernel: kernel.string, initramfs: initramfs.string,
            accelerator: tape == nil ? accelerator.rawValue : "tcg")
        line.hasSandbox = qemu.hasSandbox
        line.tape = tape
        line.name = owner
        return line
    }

    /// What a machine is still given when it has complained: traces are to be whole, and some machines never end.
    private static let aftermath = Duration.seconds(20)
    /// Init ends a job in its time, and the machine with it, unless the kernel hangs.
    private static let rest = Duration.seconds(30)
    /// What is recorded of a hang, from the last that the machine said on.
    private static let silence = Duration.seconds(20)

    /// Once, from boot to end.
    ///
    /// - Throws: `.cancelled`, and what keeps QEMU from being started.
    func once(_ tape: MachineLine.Tape? = nil) throws(HarnessError) -> Outcome {
        // Instruction by instruction takes five times as long.
        let limit = Duration.seconds(judge.limit * (tape == nil ? 1 : 6))
        var isRecorded = false
        if case .record = tape { isRecorded = true }
        // A recording that is played back has the end that it was recorded with.
        let mayBeEnded = tape == nil || isRecorded
        var progress = JobProgress(judge)
        let outcome: ConsoleMachine.Outcome
        do {
            var machine = ConsoleMachine(qemu: qemu, arguments: line(tape).arguments, limit: limit)
            machine.hasMonitor = isRecorded
            outcome = try machine.run(cancellation) { bytes in
                let before = progress
                progress.read(bytes)
                guard mayBeEnded else { return nil }
                if progress.hasComplained { return before.hasComplained ? nil : Self.aftermath }
                guard progress.hasStarted else { return nil }
                if isRecorded { return judge.kind == .timeout ? Self.silence : nil }
                return before.hasStarted ? nil : .seconds(judge.seconds) + Self.rest
            }
        } catch .cancelled {
            throw .cancelled
        } catch {
            throw .infrastructure("\(error)")
        }
        let end: Judgement.End =
            switch outcome.end {
            case nil: .late
            // The recording of a hang ends, and with it the machine.
            case .exited(0) where tape != nil && judge.kind == .timeout && !progress.hasEnded: .late
            case .exited(0): .ended
            case let how?: .broken("\(how)" + (outcome.complaints.isEmpty ? "" : ": \(outcome.complaints)"))
            }
        return Outcome(
            verdict: Judgement.judge(String(decoding: outcome.console, as: UTF8.self), end, judge),
            console: outcome.console)
    }

    /// Writes a guest image out of its parts.
    static func join(_ parts: [[UInt8]], to file: FilePath) throws(HarnessError) {
        do {
            try Data(parts.joined()).write(to: URL(fileURLWithPath: file.string))
        } catch {
            throw .infrastructure("\(file) cannot be written: \(Folders.reason(error))")
        }
    }
}

extension HarnessError {
    /// A refused archive is a wrong call; what fails here is trouble of ours.
    init(_ error: ArchiveError) {
        switch error {
        case .refused(let text): self = .usage(text)
        case .system: self = .infrastructure("\(error)")
        }
    }
}
