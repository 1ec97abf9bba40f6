// SPDX-License-Identifier: Apache-2.0

/// A kernel's .config: option -> `y`, `m` or a value. What is "not set" is not in it.
public struct KernelConfig: Sendable, Equatable {
    public private(set) var values: [String: String] = [:]

    /// Reads the file's text; lines that set nothing are passed over.
    public init(text: String) {
        for line in text.split(whereSeparator: \.isNewline) where line.hasPrefix("CONFIG_") {
            guard let equals = line.firstIndex(of: "=") else { continue }
            var value = line[line.index(after: equals)...]
            if value.hasPrefix("\""), value.hasSuffix("\""), value.count > 1 { value = value.dropFirst().dropLast() }
            values[String(line[..<equals])] = String(value)
        }
    }

    /// The option's value; nil when it is not set.
    public subscript(option: String) -> String? { values[option] }

    public func isBuiltIn(_ option: String) -> Bool { values[option] == "y" }

    public func isEnabled(_ option: String) -> Bool { values[option] == "y" || values[option] == "m" }

    /// What a kernel needs for the job, and the fragment under images/ that sets it.
    ///
    /// - Returns: a sentence for each thing that is missing; empty when the kernel can be tried.
    public func missing() -> [String] {
        let builtIn: [(String, String, String)] = [
            ("CONFIG_BLK_DEV_INITRD", "base", "the guest image is an initramfs"),
            ("CONFIG_PCI", "base", "the virtio devices are on PCI"),
            ("CONFIG_SERIAL_8250_CONSOLE", "base", "the console is the serial port"),
            ("CONFIG_DEVTMPFS", "base", "init finds the ports under /dev"),
            ("CONFIG_PROC_FS", "base", "init and the agents read /proc"),
            ("CONFIG_SYSFS", "base", "init finds the ports in /sys"),
            ("CONFIG_TMPFS", "base", "agents and objects are stored in a tmpfs"),
            ("CONFIG_BPF_SYSCALL", "bpf", "it is what is tested"),
            ("CONFIG_DEBUG_INFO_BTF", "bpf", "kfuncs and CO-RE are found through BTF"),
        ]
        let anyForm: [(String, String, String)] = [
            ("CONFIG_VIRTIO_PCI", "base", "the virtio devices are on PCI"),
            ("CONFIG_VIRTIO_CONSOLE", "base", "host and guest talk over virtio-serial"),
        ]
        let sentence = { (option: String, fragment: String, why: String) in
            "\(option) is not set: \(why) (images/\(fragment).config sets it)"
        }
        return builtIn.filter { !isBuiltIn($0.0) }.map(sentence) + anyForm.filter { !isEnabled($0.0) }.map(sentence)
    }
}
