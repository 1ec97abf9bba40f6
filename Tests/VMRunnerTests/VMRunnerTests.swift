// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import VMRunner

@Suite struct QEMUCommandLineTests {
    private func line(
        _ adjust: (inout MachineSettings) -> Void = { _ in }, sandbox: Bool = true,
        wiring: QEMUCommandLine.Wiring = .inherited(.init(console: 3, qmp: 4, control: 5, output: 6, error: 7))
    ) -> QEMUCommandLine {
        var settings = MachineSettings()
        adjust(&settings)
        return QEMUCommandLine(
            qemu: QEMU(path: "/usr/bin/qemu-system-x86_64", version: "10.0.2", hasSandbox: sandbox),
            settings: settings, start: .boot(BootFiles(kernel: "/k/vmlinuz", initramfs: "/i mage.cpio")), wiring: wiring
        )
    }

    private func value(_ option: String, _ arguments: [String]) -> String? {
        arguments.firstIndex(of: option).map { arguments[$0 + 1] }
    }

    @Test func theMachineHasNoNetworkAndNothingThatNobodyAskedFor() {
        let arguments = line().arguments
        for option in ["-nodefaults", "-no-user-config", "-no-reboot"] { #expect(arguments.contains(option)) }
        #expect(!arguments.contains("-netdev") && !arguments.contains("-nic"))
        #expect(value("-sandbox", arguments)?.hasPrefix("on,") == true)
        #expect(!line(sandbox: false).arguments.contains("-sandbox"))
        #expect(arguments.contains("vmcoreinfo"))
    }

    @Test func everyPortHasItsDescriptor() {
        let arguments = line().arguments
        for (id, number) in [("console", 3), ("qmp", 4), ("control", 5), ("stdout", 6), ("stderr", 7)] {
            #expect(arguments.contains("socket,id=\(id),fd=\(number)"))
        }
        #expect(arguments.contains("virtserialport,chardev=control,name=org.bpftest.control"))
    }

    @Test func theAcceleratorChoosesTheProcessor() {
        #expect(value("-cpu", line { $0.accelerator = .kvm }.arguments) == "host")
        #expect(value("-accel", line { $0.accelerator = .tcg }.arguments) == "tcg")
    }

    @Test func whatTheUserAppendsComesLast() {
        let words = value("-append", line { $0.kernelArguments = ["panic=0", "x"] }.arguments)?.split(separator: " ")
        #expect(words?.suffix(2) == ["panic=0", "x"])
        #expect(words?.first == "console=ttyS0")
        let lsm = value("-append", line { $0.securityModules = "yama,bpf" }.arguments)
        #expect(lsm?.contains(" lsm=yama,bpf") == true)
    }

    @Test func aCardComesWithItsCableAndThePortOfTheWire() {
        let arguments = line { $0.cards = [.virtioNet, .igb] }.arguments
        #expect(arguments.contains("virtio-serial-pci,max_ports=5"))
        #expect(arguments.contains("virtserialport,chardev=wire,name=org.bpftest.wire"))
        #expect(arguments.contains("socket,id=wire,fd=10"))
        #expect(arguments.contains("stream,id=net0,addr.type=fd,addr.str=11"))
        #expect(arguments.contains("virtio-net-pci,mac=02:62:70:66:00:00,romfile=,netdev=net0"))
        #expect(arguments.contains("stream,id=net1,addr.type=fd,addr.str=12"))
        #expect(arguments.contains("igb,mac=02:62:70:66:00:01,romfile=,netdev=net1"))
        #expect(value("-append", arguments)?.contains(" bpftest.cards=2") == true)
        #expect(value("-append", line().arguments)?.contains("bpftest.cards") == false)
        // Nobody at a terminal has the other ends.
        let terminal = line({ $0.cards = [.e1000e] }, wiring: .terminal(directory: "/tmp")).arguments
        #expect(terminal.contains("e1000e,mac=02:62:70:66:00:00,romfile="))
        #expect(!terminal.contains { $0.hasPrefix("stream,") })
    }

    @Test func oldQEMUsHaveNotEveryCard() {
        let qemu = { QEMU(path: "/q", version: $0, hasSandbox: true) }
        #expect(!NetworkCard.igb.isSupported(by: qemu("7.2.22")) && NetworkCard.igb.isSupported(by: qemu("8.0.0")))
        #expect(NetworkCard.e1000e.isSupported(by: qemu("7.2.0")) && !NetworkCard.e1000e.isSupported(by: qemu("7.1.0")))
        #expect(NetworkCard.virtioNet.isSupported(by: qemu("10.0.2")))
    }

    @Test func theShellTextCanBePasted() {
        let text = line(wiring: .terminal(directory: "/tmp")).shellText
        #expect(text.contains("-initrd '/i mage.cpio'"))
        #expect(text.contains("stdio,id=console"))
        #expect(!text.contains("fd="))
    }

    @Test(arguments: [
        ("", "''"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("plain-1.0/x", "plain-1.0/x"), ("$x", "'$x'"),
    ])
    func wordsAreQuotedForAShell(_ word: String, _ quoted: String) {
        #expect(shellQuoted(word) == quoted)
    }
}

@Suite struct QEMUTests {
    @Test func readsTheVersion() {
        #expect(QEMU.parseVersion("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright") == "10.0.2")
        #expect(QEMU.parseVersion("QEMU emulator version 7.2.0") == "7.2.0")
        #expect(QEMU.parseVersion("qemu-img version 7") == nil)
        #expect(QEMU.parseVersion("") == nil)
    }

    @Test func aMissingQEMUSaysHowToGetIt() {
        let error = #expect(throws: MachineError.self) { try QEMU.find(environment: ["PATH": "/nowhere"]) }
        #expect(error?.description.contains("apt-get install qemu-system-x86") == true)
    }
}

@Suite struct QMPTests {
    @Test func readsWhatQEMUSays() {
        var decoder = QMPDecoder()
        let text =
            #"{"QMP": {"version": {}}}"# + "\r\n" + #"{"return": {}, "id": 1}"# + "\r\n"
            + #"{"timestamp": {"seconds": 1}, "event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}"#
            + "\n" + #"{"error": {"class": "GenericError", "desc": "no"}, "id": 2}"# + "\n"
        #expect(
            decoder.append(ArraySlice(text.utf8)) == [
                .greeting, .reply(id: 1), .event("SHUTDOWN", reason: "guest-reset"), .failure(id: 2, "no"),
            ])
    }

    @Test func anEventMayComeInPieces() {
        var decoder = QMPDecoder()
        #expect(decoder.append(ArraySlice(#"{"event": "ST"#.utf8)) == [])
        #expect(decoder.append(ArraySlice("OP\"}\n".utf8)) == [.event("STOP", reason: nil)])
    }

    @Test(arguments: ["hello\n", "[]\n", "{}\n", "{\"return\": {}}\n"]) func refusesWhatIsNoQMP(_ text: String) {
        var decoder = QMPDecoder()
        #expect(decoder.append(ArraySlice(text.utf8)) == nil)
    }

    @Test func refusesAnEndlessLine() {
        var decoder = QMPDecoder()
        #expect(decoder.append(ArraySlice(repeating: 0x20, count: QMPMessage.lineLimit + 1)) == nil)
    }
}

@Suite struct ConsoleLogTests {
    @Test func cutsLinesAndCleansThem() throws {
        var log = try ConsoleLog(file: nil)
        let bytes = Array("\u{1b}c\u{1b}[2J\u{1b}[1mSeaBIOS\u{1b}[0m\r\n[  1.0] hel".utf8) + [0xff, 0x07]
        #expect(log.append(bytes[...]) == ["SeaBIOS"])
        #expect(log.tail() == ["SeaBIOS", "[  1.0] hel\u{fffd}\u{fffd}"])
        #expect(log.append(Array("lo\n".utf8)[...]) == ["[  1.0] hel\u{fffd}\u{fffd}lo"])
        #expect(log.finish() == [])
    }

    @Test func anUnfinishedLastLineCounts() throws {
        var log = try ConsoleLog(file: nil)
        #expect(log.append(Array("no newline".utf8)[...]) == [])
        #expect(log.finish() == ["no newline"])
    }

    @Test func memoryIsBounded() throws {
        var log = try ConsoleLog(file: nil)
        for _ in 0..<5000 { _ = log.append(Array("x\n".utf8)[...]) }
        #expect(log.lineCount == 5000)
        #expect(log.lines.count <= 2 * ConsoleLog.tailLines)
        #expect(log.append(ArraySlice(repeating: 0x79, count: 100_000) + [0x0a]).first?.count == ConsoleLog.lineLimit)
    }

    @Test func aFullDiskIsSaidAndTheRestIsKeptInMemory() throws {
        var log = try ConsoleLog(file: "/dev/full")
        #expect(log.append(Array("line\n".utf8)[...]) == ["line"])
        #expect(log.fileProblem == "console file: ENOSPC")
    }
}

@Suite struct BootWatchTests {
    @Test(arguments: [
        (
            "[    1.2] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
            BootFailure.noInit("VFS: Unable to mount root fs on unknown-block(0,0)")
        ),
        (
            "Kernel panic - not syncing: No working init found.  Try passing init= option to kernel.",
            .noInit("No working init found.  Try passing init= option to kernel.")
        ),
        (
            "[    0.5] Kernel panic - not syncing: System is deadlocked on memory",
            .panicked("System is deadlocked on memory")
        ),
        ("bpftest-init: fatal: no port", .initFailed("no port")),
    ])
    func readsTheReason(_ line: String, _ failure: BootFailure) {
        var watch = BootWatch()
        watch.read("[    0.0] Linux version 6.12")
        #expect(watch.failure == nil)
        watch.read(line)
        #expect(watch.failure == failure)
    }

    /// When init dies the kernel panics: init's own reason is the one to show.
    @Test func initsReasonGoesBeforeThePanic() {
        var watch = BootWatch()
        watch.read("bpftest-init: fatal: no port")
        watch.read("Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100")
        #expect(watch.failure == .initFailed("no port"))
    }
}

@Suite struct KernelVersionTests {
    @Test(arguments: [
        ("6.12.117+deb12-cloud-amd64", KernelVersion(6, 12, 117)), ("5.10.0-46-cloud-amd64", KernelVersion(5, 10)),
        ("7.3-rc7", KernelVersion(7, 3, candidate: 7)), ("6.18.0-rc1+", KernelVersion(6, 18, candidate: 1)),
        ("6.6", KernelVersion(6, 6)),
    ])
    func reads(_ text: String, _ version: KernelVersion) {
        #expect(KernelVersion(text) == version)
    }

    @Test(arguments: ["", "6", "linux", "x.y", ".1"]) func refuses(_ text: String) {
        #expect(KernelVersion(text) == nil)
    }

    @Test func orders() {
        let ordered = ["5.10", "6.1", "6.6-rc7", "6.6", "6.6.1", "6.12", "7.3-rc1", "7.3-rc7", "7.3"]
        #expect(ordered.compactMap { KernelVersion($0) }.shuffled().sorted().map(\.description) == ordered)
    }
}

@Suite struct BuildConfigTests {
    @Test func saysWhatIsMissingAndWhoSetsIt() {
        let config = KernelConfig(
            text: "CONFIG_PCI=y\nCONFIG_VIRTIO_PCI=m\n# CONFIG_VIRTIO_CONSOLE is not set\nCONFIG_LSM=\"a,b\"\n")
        #expect(config["CONFIG_LSM"] == "a,b")
        #expect(config["CONFIG_VIRTIO_CONSOLE"] == nil)
        let missing = config.missing()
        #expect(
            missing.contains { $0.hasPrefix("CONFIG_VIRTIO_CONSOLE is not set") && $0.contains("images/base.config") })
        #expect(missing.contains { $0.hasPrefix("CONFIG_BPF_SYSCALL") && $0.contains("images/bpf.config") })
        #expect(!missing.contains { $0.hasPrefix("CONFIG_PCI ") || $0.hasPrefix("CONFIG_VIRTIO_PCI") })
    }
}

@Suite struct ModuleTreeTests {
    private let tree = ModuleTree(
        dependencies: """
            kernel/drivers/virtio/virtio_pci.ko.xz: kernel/drivers/virtio/virtio.ko.xz kernel/drivers/virtio/virtio_ring.ko.xz
            kernel/drivers/virtio/virtio.ko.xz: kernel/drivers/virtio/virtio_ring.ko.xz
            kernel/drivers/virtio/virtio_ring.ko.xz:
            kernel/drivers/char/virtio-console.ko.xz: kernel/drivers/virtio/virtio.ko.xz
            alias pci:v00001AF4d* virtio_pci
            """, builtIn: "kernel/drivers/net/veth.ko\n")

    @Test func dependenciesComeFirstAndOnce() {
        let order = tree.loadOrder(["virtio_pci", "virtio_console", "nothing"]).map(\.name)
        #expect(order == ["virtio_ring", "virtio", "virtio_pci", "virtio_console"])
    }

    @Test func builtInModulesAreKnown() {
        #expect(tree.isBuiltIn("veth"))
        #expect(tree.loadOrder(["veth"]).isEmpty)
    }

    @Test func aCircleEnds() {
        let circle = ModuleTree(dependencies: "a.ko: b.ko\nb.ko: a.ko\n")
        #expect(circle.loadOrder(["a"]).map(\.name) == ["b", "a"])
    }
}
