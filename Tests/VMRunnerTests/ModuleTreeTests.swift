// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import VMRunner

struct ModuleTreeTests {
    /// As depmod writes it for Debian's 6.1, shortened.
    private let tree = ModuleTree(
        dependencies: """
            kernel/drivers/virtio/virtio.ko:
            kernel/drivers/virtio/virtio_ring.ko: kernel/drivers/virtio/virtio.ko
            kernel/drivers/virtio/virtio_pci_modern_dev.ko:
            kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio_pci_modern_dev.ko \
            kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
            kernel/drivers/char/virtio_console.ko: kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko
            kernel/crypto/sha256-generic.ko.xz:

            not a line of modules.dep
            """, builtIn: "kernel/drivers/net/netkit.ko\n")

    @Test func dependenciesComeFirstAndOnce() {
        let names = tree.loadOrder(["virtio_pci", "virtio_console"]).map(\.name)
        #expect(names == ["virtio_pci_modern_dev", "virtio", "virtio_ring", "virtio_pci", "virtio_console"])
    }

    @Test func absentAndBuiltInModulesAreLeftOut() {
        #expect(tree.loadOrder(["veth", "netkit"]).isEmpty)
        #expect(tree.isBuiltIn("netkit"))
        #expect(!tree.isBuiltIn("veth"))
    }

    @Test func dashesAndCompressionAreNoPartOfTheName() {
        let found = tree.loadOrder(["sha256_generic"])
        #expect(found.map(\.path) == ["kernel/crypto/sha256-generic.ko.xz"])
    }

    @Test func aCycleEnds() {
        let tree = ModuleTree(dependencies: "a.ko: b.ko\nb.ko: a.ko\n")
        #expect(Set(tree.loadOrder(["a"]).map(\.name)) == ["a", "b"])
    }
}
