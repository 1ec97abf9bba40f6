// SPDX-License-Identifier: Apache-2.0
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage
internal import VMRunner

extension Runner {
    /// The QEMU line of a machine, for a person's terminal: the console on stdio, the rest as sockets in /tmp.
    public func commandLine(_ kernel: PreparedKernel) -> String {
        var settings = options.settings
        settings.accelerator = AcceleratorMemory(folders: folders).choice(options.accelerator, qemu: qemu).0
        settings.securityModules = settings.securityModules ?? kernel.build.securityModules
        return QEMUCommandLine(
            qemu: qemu, settings: settings, start: .boot(kernel.files), wiring: .terminal(directory: "/tmp")
        ).shellText
    }

    /// Asks a foreign agent for its suites, in a guest: it is not run on the host.
    public func list(
        _ agent: Agent, on kernel: PreparedKernel, work: WorkFolder, log: @escaping @Sendable (String) -> Void
    ) throws(HarnessError) -> [SuiteListing] {
        // Also what a run with that agent needs: its machines come from the same zygote.
        let factory = try factory(kernel, [agent], work, log)
        let machine: Machine
        do {
            machine = try factory.source().machine()
        } catch .cancelled {
            throw .cancelled
        } catch {
            throw .infrastructure("\(agent.file) could not be asked for its suites: \(error)")
        }
        defer { machine.kill() }
        machine.send(.run(Job(id: 1, arguments: [agent.guestPath, "list"], outputLimit: 4 << 20)))
        return try listing(machine, agent, ContinuousClock.now + options.caseLimit)
    }

    private func listing(
        _ machine: Machine, _ agent: Agent, _ deadline: ContinuousClock.Instant
    ) throws(HarnessError) -> [SuiteListing] {
        var text: [UInt8] = []
        var ended: JobEnd?
        while ended == nil || UInt64(text.count) < ended?.outputBytes ?? 0 {
            let event: Machine.Event?
            do {
                event = try machine.next(until: deadline)
            } catch .cancelled {
                throw .cancelled
            } catch {
                throw .infrastructure("\(agent.file) list: \(error)")
            }
            switch event {
            case .job(.output, let bytes)?: text += bytes
            case .message(.exited(let end))?: ended = end
            case .message(.refused(_, _, let reason))?:
                throw .usage("\(agent.file) does not run in the guest: \(reason)")
            case .ended(let how)?: throw .infrastructure("\(agent.file) list: the machine ended (\(how))")
            case nil: throw .usage("\(agent.file) list: no end after \(options.caseLimit.inSeconds) s")
            default: continue
            }
        }
        guard ended?.cause == .exited(status: 0) else {
            throw .usage("\(agent.file) list did not succeed: an agent is described in docs/agent-output.md")
        }
        return try Catalogue.parse(String(decoding: text, as: UTF8.self), from: agent.file.string)
    }
}
