// SPDX-License-Identifier: Apache-2.0
import LinuxIO
import Testing

extension MachineTests {
    /// Frames through emulated network cards, on Debian's cloud kernel, which has virtio_net alone.
    @Suite(.serialized, .timeLimit(.minutes(10)))
    struct Drivers {
        /// Each case in a machine of its own, restored: cards come back with their rings and addresses.
        @Test func framesGoThroughCardsOfRestoredMachines() throws {
            let command = try Command()
            let end = try command.run([
                "run", "-k", "6.12", "--run-isolated=case", "-t", "drivers.virtio_net/V-00*", "-t",
                "drivers.virtio_net/M-16*", "-t", "drivers.virtio_net/V-0?0*",
            ])
            #expect(end == .exited(0), "\(command.stdout.suffix(4000)) \(command.stderr)")
            #expect(command.stdout.contains("ok 1 - V-001.ingress"))
            #expect(!command.stdout.contains("# SKIP"))
            try command.expectNothingLeft()
        }

        /// All cases of a device in one machine that was booted: each leaves the device as it found it.
        @Test(arguments: ["drivers.virtio_net", "drivers.veth", "drivers.netkit"])
        func allCasesInOneBootedMachine(_ suite: String) throws {
            let command = try Command()
            let end = try command.run(["run", "-k", "6.12", "--no-zygotes", "--run-isolated=none", suite])
            #expect(end == .exited(0), "\(command.stdout.suffix(4000)) \(command.stderr)")
            #expect(!command.stdout.contains("# SKIP"))
            try command.expectNothingLeft()
        }

        @Test func aKernelWithoutTheDriverSaysSo() throws {
            let command = try Command()
            let end = try command.run([
                "run", "-k", "6.12", "drivers.igb/V-001.ingress", "drivers.e1000e/V-001.ingress",
            ])
            #expect(end == .exited(4), "\(command.stdout) \(command.stderr)")
            #expect(command.stdout.contains("# SKIP igb is absent: CONFIG_IGB is not set"))
            #expect(command.stdout.contains("# SKIP e1000e is absent: CONFIG_E1000E is not set"))
            try command.expectNothingLeft()
        }
    }
}
