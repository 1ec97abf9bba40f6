// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import GuestProtocol
public import SystemPackage
public import VMRunner

/// The initramfs for one kernel: init, and the modules that the kernel needs for the job.
public struct GuestImage: Sendable {
    public let path: FilePath

    /// What the guest cannot do without.
    static let required = ["virtio_pci", "virtio_console"]
    /// What cases use where the kernel has it.
    static let wanted = [
        "veth", "dummy", "sch_ingress", "cls_bpf", "netkit",
        // Found by the crypto API's own means where it is built in; nf_conntrack wants it.
        "crc32c_generic",
        // Kernel functions that are in modules register when these are loaded: a guest has no modprobe.
        "nf_conntrack", "nf_nat", "xfrm_interface", "nf_flow_table", "fou", "tcp_bbr", "tcp_dctcp",
        // States for bpf_xdp_get_xfrm_state are made over netlink.
        "xfrm_user",
        // A dump of the machine's memory can be opened when the kernel has told QEMU where its description is.
        "qemu_fw_cfg",
    ]

    /// Drivers of network cards: loaded only in machines that have some.
    static let drivers = ["virtio_net", "e1000e", "igb"]

    /// Makes the image for a kernel, or finds it in the cache.
    ///
    /// - Parameter initFile: the static bpftest-init.
    public static func prepare(
        _ kernel: KernelBuild, initFile: FilePath, folders: Folders
    ) async throws(HarnessError) -> GuestImage {
        try Folders.make(folders.images)
        guard let program = FileManager.default.contents(atPath: initFile.string) else {
            throw .infrastructure("\(initFile) cannot be read: build it (make build)")
        }
        let modules = try await modules(of: kernel)
        var key = ByteWriter()
        key.append("image 2")
        key.append(XXH64.hash(Array(program)))
        for module in modules {
            key.append("\(module.mark)\(module.name)")
            key.append(try stamp(module.file))
        }
        let name = "\(kernel.release)-\(String(XXH64.hash(key.bytes), radix: 16)).cpio"
        let path = folders.images.appending(name)
        if FileManager.default.fileExists(atPath: path.string) { return GuestImage(path: path) }

        var archive = Initramfs()
        for directory in ["dev", "proc", "sys", "run", "tmp", "root"] { archive.directory(directory) }
        archive.characterDevice("dev/console", major: 5, minor: 1)
        archive.file("init", mode: 0o755, program)
        var list = ""
        for module in modules {
            archive.file("lib/modules/\(module.name).ko", mode: 0o644, try await content(module.file))
            list += "\(module.mark)/lib/modules/\(module.name).ko\n"
        }
        archive.file("etc/bpftest/modules", mode: 0o644, Data(list.utf8))
        do {
            // Atomic: a second bpftest sees no file or a whole one.
            try archive.finish().write(to: URL(fileURLWithPath: path.string), options: .atomic)
        } catch {
            throw .infrastructure("\(path) cannot be written: \(Folders.reason(error))")
        }
        return GuestImage(path: path)
    }

    private struct Module {
        var name: String
        var file: FilePath
        /// What init makes of it: docs/kernels.md, "What goes into the guest".
        var mark: String
    }

    private static func stamp(_ file: FilePath) throws(HarnessError) -> String {
        do {
            let attributes = try FileManager.default.attributesOfItem(atPath: file.string)
            let date = attributes[.modificationDate] as? Date ?? .distantPast
            return "\(file) \(attributes[.size] ?? 0) \(date.timeIntervalSince1970)"
        } catch {
            throw .infrastructure("\(file) cannot be read: \(Folders.reason(error))")
        }
    }

    private static func modules(of kernel: KernelBuild) async throws(HarnessError) -> [Module] {
        guard let root = kernel.modules else { return [] }
        let tree = try await moduleTree(kernel, root)
        if let config = kernel.config {
            // Known before booting: a module that the config promises but the tree does not hold.
            let options = ["virtio_pci": "CONFIG_VIRTIO_PCI", "virtio_console": "CONFIG_VIRTIO_CONSOLE"]
            for name in required where config[options[name] ?? ""] == "m" && tree.loadOrder([name]).isEmpty {
                throw .infrastructure(
                    "\(kernel.origin): \(options[name] ?? name) is a module, but \(name).ko is not in \(root): build and "
                        + "give its modules (--modules DIR)")
            }
        }
        let common = Set(tree.loadOrder(required + wanted).map(\.name))
        // In the order of their dependencies; what only drivers depend on is loaded with them.
        return tree.loadOrder(required + wanted + drivers).map { module in
            let mark = required.contains(module.name) ? "" : common.contains(module.name) ? "?" : "+"
            return Module(name: module.name, file: root.appending(module.path), mark: mark)
        }
    }

    private static func moduleTree(_ kernel: KernelBuild, _ root: FilePath) async throws(HarnessError) -> ModuleTree {
        let read = { (name: String) in try? String(contentsOfFile: root.appending(name).string, encoding: .utf8) }
        let builtIn = read("modules.builtin") ?? ""
        if let text = read("modules.dep"), !text.isEmpty { return ModuleTree(dependencies: text, builtIn: builtIn) }
        // Packages and build trees come without modules.dep. depmod wants lib/modules/RELEASE; -n makes it print what
        // it would write, since the modules' own folder may not be writable.
        let base = FilePath(NSTemporaryDirectory()).appending("bpftest-depmod-\(UUID().uuidString)")
        defer {
            // Left-overs of a failed removal are swept with the system's temporary files.
            try? FileManager.default.removeItem(atPath: base.string)
        }
        let folder = base.appending("lib/modules")
        do {
            try FileManager.default.createDirectory(atPath: folder.string, withIntermediateDirectories: true)
            try FileManager.default.createSymbolicLink(
                atPath: folder.appending(kernel.release).string, withDestinationPath: root.string)
        } catch {
            throw .infrastructure("\(base) cannot be made: \(Folders.reason(error))")
        }
        let text = try await Tool.require(
            "depmod", ["-n", "-b", base.string, kernel.release], package: "kmod",
            to: "find the dependencies of the modules in \(root)")
        return ModuleTree(dependencies: text, builtIn: builtIn)
    }

    /// The module as the kernel takes it: finit_module() of an old kernel does not decompress.
    private static func content(_ file: FilePath) async throws(HarnessError) -> Data {
        let tools = ["xz": ("xz", "xz-utils"), "zst": ("zstd", "zstd"), "gz": ("gzip", "gzip")]
        guard let (tool, package) = tools[file.extension ?? ""] else {
            guard let data = FileManager.default.contents(atPath: file.string) else {
                throw .infrastructure("\(file) cannot be read")
            }
            return data
        }
        let copy = FilePath(NSTemporaryDirectory()).appending("bpftest-module-\(UUID().uuidString)")
        defer {
            // As above.
            try? FileManager.default.removeItem(atPath: copy.string)
        }
        _ = try await Tool.require(
            "sh", ["-c", "exec \"$1\" -dc \"$2\" >\"$3\"", "sh", tool, file.string, copy.string], package: package,
            to: "decompress \(file)")
        guard let data = FileManager.default.contents(atPath: copy.string) else {
            throw .infrastructure("\(copy) cannot be read")
        }
        return data
    }
}
