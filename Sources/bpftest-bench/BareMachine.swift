// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import LinuxIO
internal import VMRunner

/// QEMU with nothing around it: the yardstick.
final class BareMachine {
    private let pid: Int32
    private let console: OwnedFD
    let control: OwnedFD
    /// Ends that are held open so that QEMU does not see them close.
    private let others: [Held]
    private var text: [UInt8] = []

    private final class Held {
        let descriptor: OwnedFD
        init(_ descriptor: consuming OwnedFD) { self.descriptor = descriptor }
    }

    init(_ qemu: QEMU, _ settings: MachineSettings, _ files: BootFiles) throws {
        let nothing = try Descriptors.open("/dev/null", O_RDWR)
        let consoles = try Descriptors.socketPair()
        let controls = try Descriptors.socketPair()
        // As much room as Machine asks for: the yardstick must not be the slower for a smaller buffer.
        var room: CInt = 4 << 20
        _ = unsafe setsockopt(controls.first.raw, SOL_SOCKET, SO_SNDBUF, &room, socklen_t(MemoryLayout<CInt>.size))
        var mine: [Held] = []
        var theirs: [Held] = [Held(consoles.second), Held(controls.second)]
        var spawnMap: [CInt: CInt] = [
            0: nothing.raw, 1: nothing.raw, 2: nothing.raw, 3: theirs[0].descriptor.raw, 5: theirs[1].descriptor.raw,
        ]
        for number: CInt in [4, 6, 7] {
            let pair = try Descriptors.socketPair()
            mine.append(Held(pair.first))
            theirs.append(Held(pair.second))
            spawnMap[number] = theirs.last?.descriptor.raw
        }
        let line = QEMUCommandLine(
            qemu: qemu, settings: settings, start: .boot(files),
            wiring: .inherited(.init(console: 3, qmp: 4, control: 5, output: 6, error: 7)))
        var spawn = Spawn(path: qemu.path, arguments: line.arguments, environment: ["PATH=/usr/bin:/bin"])
        spawn.descriptors = spawnMap
        spawn.dieWithThread = true
        spawn.newSession = true
        pid = try spawn.start()
        console = consoles.first
        control = controls.first
        others = mine
    }

    deinit {
        kill(pid, SIGKILL)
        var status: CInt = 0
        while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
    }

    /// Reads the console until it holds a text.
    func waits(for wanted: String, limit: Duration) throws {
        let deadline = ContinuousClock.now + limit
        var poller = Poller()
        poller.add(console.raw, .read)
        var chunk = [UInt8](repeating: 0, count: 4096)
        while !String(decoding: text, as: UTF8.self).contains(wanted) {
            guard try poller.wait(deadline - .now) else { throw BenchError("no \"\(wanted)\" on the console") }
            let count = try console.read(into: &chunk)
            if count == 0 { throw BenchError("the machine ended before \"\(wanted)\"") }
            text += chunk[..<count]
        }
    }
}

struct BenchError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
