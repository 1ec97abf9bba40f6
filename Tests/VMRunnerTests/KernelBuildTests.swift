// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import VMRunner

struct KernelBuildTests {
    let scratch: Scratch
    let release = "6.1.0-56-cloud-amd64"

    init() throws { scratch = try Scratch() }

    @Test func distributionLayout() throws {
        let image = try scratch.write("boot/vmlinuz-\(release)", Sample.bzImage(release))
        try scratch.write("boot/config-\(release)", "CONFIG_BPF_SYSCALL=y\n")
        try scratch.write("lib/modules/\(release)/kernel/a.ko", "")
        let build = try KernelBuild(file: image)
        #expect(build.release == release)
        #expect(build.config?.isBuiltIn("CONFIG_BPF_SYSCALL") == true)
        #expect(build.modules == scratch.path.appending("lib/modules").appending(release))
    }

    /// Debian's linux-image of 6.16 to 7.1.
    @Test func layoutOfAMergedUsr() throws {
        let image = try scratch.write("boot/vmlinuz-\(release)", Sample.bzImage(release))
        try scratch.write("usr/lib/modules/\(release)/kernel/a.ko", "")
        let folder = scratch.path.appending("usr/lib/modules").appending(release)
        #expect(try KernelBuild(file: image).modules == folder)
        #expect(try KernelBuild.findModules(of: release, in: scratch.path) == folder)
    }

    @Test func splitPackageLayout() throws {
        let folder = "usr/lib/modules/\(release)"
        let image = try scratch.write("\(folder)/vmlinuz", Sample.bzImage(release))
        try scratch.write("\(folder)/config", "CONFIG_BPF=y\n")
        try scratch.write("\(folder)/kernel/a.ko", "")
        let build = try KernelBuild(file: image)
        #expect(build.config != nil)
        #expect(build.modules == scratch.path.appending(folder))
    }

    @Test func aKernelOnItsOwnHasNeitherConfigNorModules() throws {
        let build = try KernelBuild(file: try scratch.write("bzImage", Sample.bzImage("6.18.0-rc1")))
        #expect(build.config == nil)
        #expect(build.modules == nil)
        #expect(build.version == KernelVersion(6, 18, 0, candidate: 1))
    }

    @Test func modulesOfAnotherReleaseAreNotTaken() throws {
        let image = try scratch.write("boot/vmlinuz", Sample.bzImage(release))
        try scratch.write("lib/modules/6.1.0-1/kernel/a.ko", "")
        #expect(try KernelBuild(file: image).modules == nil)
    }

    @Test func givenModulesMustBeThere() throws {
        let image = try scratch.write("bzImage", Sample.bzImage(release))
        try scratch.write("a/lib/modules/\(release)/modules.order", "")
        try scratch.write("b/\(release)/kernel/x.ko", "")
        try scratch.write("c/kernel/x.ko", "")
        try scratch.write("d/readme", "")
        #expect(
            try KernelBuild(file: image, modules: scratch.path.appending("a")).modules
                == scratch.path.appending("a/lib/modules").appending(release))
        #expect(
            try KernelBuild(file: image, modules: scratch.path.appending("b")).modules
                == scratch.path.appending("b").appending(release))
        #expect(
            try KernelBuild(file: image, modules: scratch.path.appending("c")).modules == scratch.path.appending("c"))
        let error = #expect(throws: KernelError.self) {
            try KernelBuild(file: image, modules: scratch.path.appending("d"))
        }
        #expect(error?.description.contains("holds no modules of \(release)") == true)
    }

    @Test func buildTree() throws {
        try scratch.write(".config", "CONFIG_BPF_SYSCALL=y\n")
        try scratch.write("modules.order", "")
        let image = try scratch.write("arch/x86/boot/bzImage", Sample.bzImage("6.18.0"))
        for build in [try KernelBuild(tree: scratch.path), try KernelBuild(file: image)] {
            #expect(build.config?.isBuiltIn("CONFIG_BPF_SYSCALL") == true)
            #expect(build.modules == scratch.path)
        }
    }

    @Test func aTreeThatIsNotBuiltIsSaid() throws {
        let bare = #expect(throws: KernelError.self) { try KernelBuild(tree: scratch.path) }
        #expect(bare?.description.contains("neither arch/x86/boot/bzImage nor .config") == true)
        try scratch.write(".config", "")
        let configured = #expect(throws: KernelError.self) { try KernelBuild(tree: scratch.path) }
        #expect(configured?.description.contains("build it first") == true)
    }

    @Test(arguments: [
        ("CONFIG_BPF_LSM=y\nCONFIG_LSM=\"yama,apparmor\"\n", "yama,apparmor,bpf"),
        ("CONFIG_BPF_LSM=y\n", "bpf"),
        ("CONFIG_BPF_LSM=y\nCONFIG_LSM=\"yama,bpf\"\n", nil),
        ("CONFIG_LSM=\"yama\"\n", nil),
    ])
    func bpfIsAddedToTheSecurityModules(config: String, list: String?) throws {
        let image = try scratch.write("bzImage", Sample.bzImage(release))
        try scratch.write("config", config)
        #expect(try KernelBuild(file: image).securityModules == list)
    }
}

struct KernelConfigTests {
    @Test func valuesAreRead() {
        let config = KernelConfig(
            text: "#\n# Linux/x86 6.12\n#\nCONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D=\"a=b\"\nCONFIG_E\n")
        #expect(config["CONFIG_A"] == "y")
        #expect(config.isBuiltIn("CONFIG_A") && !config.isBuiltIn("CONFIG_B"))
        #expect(config.isEnabled("CONFIG_B"))
        #expect(config["CONFIG_C"] == nil)
        #expect(config["CONFIG_D"] == "a=b")
        #expect(config["CONFIG_E"] == nil)
    }

    @Test func missingOptionsAreNamedWithTheirFragment() {
        let all = [
            "BLK_DEV_INITRD", "PCI", "SERIAL_8250_CONSOLE", "DEVTMPFS", "PROC_FS", "SYSFS", "TMPFS", "BPF_SYSCALL",
            "DEBUG_INFO_BTF", "VIRTIO_PCI", "VIRTIO_CONSOLE",
        ].map { "CONFIG_\($0)=y" }
        #expect(KernelConfig(text: all.joined(separator: "\n")).missing().isEmpty)
        for line in all {
            let option = String(line.dropLast(2))
            let missing = KernelConfig(text: all.filter { $0 != line }.joined(separator: "\n")).missing()
            #expect(missing.count == 1)
            #expect(missing.first?.contains("\(option) is not set") == true)
            #expect(missing.first?.contains("images/") == true)
        }
    }

    @Test func aModuleServesForVirtioAndNotForTheSystemCall() {
        let virtio = KernelConfig(text: "CONFIG_VIRTIO_PCI=m\nCONFIG_VIRTIO_CONSOLE=m\nCONFIG_PCI=m\n").missing()
        #expect(!virtio.contains { $0.contains("VIRTIO") })
        #expect(virtio.contains { $0.contains("CONFIG_PCI ") })
    }
}
