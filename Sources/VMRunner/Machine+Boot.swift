// SPDX-License-Identifier: Apache-2.0
public import GuestProtocol
internal import LinuxIO

extension Machine {
    /// Waits until the guest says hello on its control port.
    ///
    /// - Parameter limit: time allowed from now, which is just after QEMU's start.
    /// - Returns: the guest's kernel release and what its init had to complain about.
    /// - Throws: `.boot` with the console's last lines; `.qemuEnded` when QEMU fails by itself.
    /// - Source: docs/protocol.md, "hello".
    public func boot(limit: Duration) throws(MachineError) -> GuestMessage.Hello {
        let deadline = ContinuousClock.now + limit
        var watch = BootWatch()
        while true {
            guard let event = try next(until: deadline) else {
                throw .boot(.hung(after: limit), console: console.tail())
            }
            switch event {
            case .message(.hello(let hello)):
                guard hello.version == guestProtocolVersion else {
                    throw .boot(.wrongVersion(hello.version), console: console.tail())
                }
                return hello
            case .message(.log), .job: continue
            case .message(let other): throw .violation("\(other.type) came before hello")
            case .console(let line): watch.read(line)
            case .monitor(.event("STOP", _)) where watch.failure == nil:
                // Nobody asks for a stop while booting: QEMU does it on an internal error of the accelerator.
                throw .qemuEnded(
                    .exited(0), message: "QEMU stopped the machine. \(complaints)", console: console.tail())
            case .monitor(.event("SHUTDOWN", let reason)): watch.shutdown(reason)
            case .monitor: continue
            case .ended(let how):
                if let failure = watch.failure { throw .boot(failure, console: console.tail()) }
                if watch.guestAsked { throw .boot(.ended, console: console.tail()) }
                throw .qemuEnded(how, message: complaints.firstLines(4), console: console.tail())
            }
        }
    }
}

/// What a booting kernel's console says about its end.
struct BootWatch {
    private(set) var failure: BootFailure?
    /// The guest reset or switched off its machine, as against QEMU failing.
    private(set) var guestAsked = false

    mutating func read(_ line: String) {
        if let range = line.firstRange(of: "bpftest-init: fatal: ") {
            failure = .initFailed(String(line[range.upperBound...]))
        } else if failure == nil, let range = line.firstRange(of: "Kernel panic - not syncing: ") {
            let reason = String(line[range.upperBound...])
            // Messages of init/main.c, kernel_init(), the same from 2.6 to 7.x; an unpacked image without /init ends
            // at the root file system instead (prepare_namespace()).
            let noInit = ["No working init found", "Requested init", "Unable to mount root fs"]
            failure = noInit.contains { reason.contains($0) } ? .noInit(reason) : .panicked(reason)
        }
    }

    mutating func shutdown(_ reason: String?) {
        guestAsked = reason.map { $0.hasPrefix("guest") } ?? false
    }
}

extension String {
    /// The first lines, joined by "; ".
    func firstLines(_ count: Int) -> String {
        split(whereSeparator: \.isNewline).prefix(count).joined(separator: "; ")
    }
}
