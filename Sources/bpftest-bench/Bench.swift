// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Harness
internal import LinuxIO
internal import SystemPackage
internal import TAP
internal import VMRunner

/// The figures that docs/performance.md promises, measured on this machine.
struct Bench: Sendable {
    let folders: Folders
    let guestFiles: GuestFiles
    let kernel: PreparedKernel
    let qemu: QEMU
    let selections: [Selection]
    private let rounds = 5

    init() async throws {
        let environment = ProcessInfo.processInfo.environment
        folders = Folders(environment: environment)
        guestFiles = try GuestFiles.locate(environment: environment)
        qemu = try QEMU.find(environment: environment)
        let build = try await KernelStore(folders: folders).resolve("6.12", modules: nil)
        let image = try await GuestImage.prepare(build, initFile: guestFiles.initProgram, folders: folders)
        kernel = PreparedKernel(build: build, image: image, spec: "6.12")
        let agent = Agent.builtIn(guestFiles)
        selections = try Catalogue.select(
            [(agent, try await Catalogue.builtIn(guestFiles))], names: [], patterns: [])
    }

    private var files: BootFiles { BootFiles(kernel: kernel.build.image.path, initramfs: kernel.image.path) }

    /// Groups of rows, in the order of the table.
    enum Group: String, CaseIterable {
        case boot, push, cpu, restore, memory, many, peer
    }

    func rows(_ groups: [Group]) throws -> [Row] {
        var rows: [Row] = []
        var restoredCase: Double?
        for group in groups {
            switch group {
            case .boot: rows += try firstResult()
            case .push: rows += try pushing()
            case .cpu: rows += try hostCPU()
            case .restore:
                let (more, plain) = try restores()
                rows += more
                restoredCase = plain
            case .memory: rows += try memory()
            case .many: rows += try many()
            case .peer: rows += try peer.rows(restoredCase: restoredCase)
            }
        }
        return rows
    }

    private var peer: Peer {
        Peer(
            kernel: kernel.build.image.path, qemu: qemu.path,
            folder: folders.cache.appending("peers").appending("virtme-ng"))
    }

    // MARK: Time to the first result

    private func firstResult() throws -> [Row] {
        var bare: [Double] = []
        var whole: [Double] = []
        // One round first that is not counted: files come into the page cache.
        for round in 0...rounds {
            let start = ContinuousClock.now
            let machine = try BareMachine(qemu, MachineSettings(), files)
            try machine.waits(for: "bpftest-init: started", limit: .seconds(120))
            if round > 0 { bare.append(start.secondsSince) }
            _ = consume machine
            let time = try timeOfFirstResult()
            if round > 0 { whole.append(time) }
        }
        let how =
            "median of \(rounds), bpftest run --no-zygotes of mprog.tcx/M-001.ingress and bare QEMU in turns, TCG, 1 CPU"
        return [
            .plain("bare boot to PID 1", bare.median, unit: "s", how: how),
            .plain("bpftest run to first result", whole.median, unit: "s", how: how),
            .atMost("first result / bare boot", whole.median / bare.median, 1.3, unit: "", how: how),
        ]
    }

    private func timeOfFirstResult() throws -> Double {
        let executable = Self.program
        let pipe = try Descriptors.pipe()
        let reading = pipe.first
        let writing = pipe.second
        let nothing = try Descriptors.open("/dev/null", O_RDWR)
        let arguments = [executable, "run", "--disable-kvm", "--no-zygotes", "-k", "6.12", "mprog.tcx/M-001.ingress"]
        var spawn = Spawn(
            path: executable, arguments: arguments,
            environment: ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" })
        spawn.descriptors = [0: nothing.raw, 1: writing.raw, 2: 2]
        let start = ContinuousClock.now
        let pid = try spawn.start()
        _ = consume writing
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        var found: Double?
        while true {
            let count = try reading.read(into: &chunk)
            if count == 0 { break }
            text += chunk[..<count]
            if found == nil, String(decoding: text, as: UTF8.self).contains("ok 1 - M-001") {
                found = start.secondsSince
            }
        }
        var status: CInt = 0
        while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
        guard let found, status == 0 else {
            throw BenchError("bpftest run failed: \(String(decoding: text, as: UTF8.self))")
        }
        return found
    }

    // MARK: Pushing a file

    private func pushing() throws -> [Row] {
        let size = 64 << 20
        var settings = MachineSettings()
        settings.memoryMiB = 512
        let content = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
        var raw: [Double] = []
        var pushed: [Double] = []
        for _ in 0..<3 {
            raw.append(try rawRate(content, settings))
            let machine = try Machine(
                qemu: qemu, settings: settings, start: .boot(files), consoleFile: nil, cancellation: try Cancellation())
            _ = try machine.boot(limit: .seconds(120))
            let start = ContinuousClock.now
            try machine.push([GuestFile(.bytes(content), as: "/run/pushed")])
            pushed.append(64 * 1.048576 / start.secondsSince)
            machine.kill()
        }
        let how = "median of 3, 64 MiB into a tmpfs, TCG; plain: read(port), write(file), no frames, no checksum"
        return [
            .plain("plain copy through the port", raw.median, unit: "MB/s", how: how),
            .plain("push", pushed.median, unit: "MB/s", how: how),
            .atLeast("push / plain copy", pushed.median / raw.median, 0.6, unit: "", how: how),
        ]
    }

    private func rawRate(_ content: [UInt8], _ settings: MachineSettings) throws -> Double {
        var settings = settings
        settings.kernelArguments = ["--", "raw-copy", "\(content.count)"]
        let machine = try BareMachine(qemu, settings, files)
        var byte = [UInt8](repeating: 0, count: 1)
        guard try machine.control.readExactly(1, into: &byte) == 1 else {
            throw BenchError("no guest for the plain copy")
        }
        let start = ContinuousClock.now
        try machine.control.writeAll(content)
        guard try machine.control.readExactly(1, into: &byte) == 1 else { throw BenchError("the plain copy broke off") }
        return Double(content.count) / 1e6 / start.secondsSince
    }

    // MARK: CPU time of our own

    private func hostCPU() throws -> [Row] {
        var options = RunOptions()
        options.accelerator = .tcg
        let work = try WorkFolder(environment: ProcessInfo.processInfo.environment)
        defer { work.remove() }
        let own = usage(0)
        let children = usage(-1)
        let runner = Runner(
            qemu: qemu, guestFiles: guestFiles, folders: folders, options: options, cancellation: try Cancellation(),
            environment: [:])
        nonisolated(unsafe) var size = 0
        let journal = Journal(
            sinks: [
                TAPReporter(dialect: .tap) { unsafe size += $0.utf8.count },
                JSONLinesReporter { unsafe size += $0.utf8.count },
            ],
            log: { _ in })
        let tally = try runner.run(kernels: [kernel], selections: selections, journal: journal, work: work)
        let ratio = (usage(0) - own) / (usage(-1) - children)
        return [
            .atMost(
                "host CPU of bpftest / QEMU's", ratio * 100, 3, unit: "%",
                how: "all \(tally.total) built-in cases on 6.12, TAP and JSON written, TCG")
        ]
    }

    /// CPU seconds of this process (0, RUSAGE_SELF) or of its ended children (-1, RUSAGE_CHILDREN).
    private func usage(_ who: CInt) -> Double {
        var usage = rusage()
        unsafe getrusage(who, &usage)
        let micro = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec
        return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + Double(micro) / 1e6
    }
}
