// SPDX-License-Identifier: Apache-2.0

/// What may be in an archive: names and sizes. docs/archive.md has the table.
public enum ArchiveLayout {
    public static let manifest = "manifest.json"
    public static let readme = "README.txt"
    public static let script = "repro.sh"
    public static let kernel = "boot/vmlinuz"
    public static let config = "boot/config"
    public static let symbols = "boot/vmlinux"
    /// Init, modules, agent and objects.
    public static let guest = "boot/guest.cpio"
    /// What is to be run, and files for this case alone.
    public static let job = "boot/job.cpio"
    public static let console = "outputs/console.txt"
    public static let recording = "recording/rr.bin"

    /// Files beside the folders.
    private static let files: Set<String> = [manifest, readme, script]
    private static let boot: Set<String> = [kernel, config, symbols, guest, job]
    private static let folders: Set<String> = ["guest", "sources", "outputs", "recording"]

    static let manifestLimit = 4 << 20
    static let partLimit = 4 << 30
    static let totalLimit = 8 << 30
    static let countLimit = 10_000
    /// Bytes that a compressed one may become, beyond a fixed allowance: kernels and programs become two to five.
    static let ratioLimit = 100
    static let ratioAllowance = 64 << 20

    /// Whether a part may have the name: relative, in one of the known places, of plain words.
    static func allows(_ path: String) -> Bool {
        if files.contains(path) || boot.contains(path) { return true }
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard path.utf8.count <= 200, (2...8).contains(parts.count), folders.contains(String(parts[0])) else {
            return false
        }
        return parts.allSatisfy(isPlain)
    }

    /// A word that is safe as a file's name everywhere: not hidden, not `..`, nothing that a shell or a terminal reads.
    static func isPlain(_ word: some StringProtocol) -> Bool {
        guard let first = word.utf8.first, first != UInt8(ascii: "."), first != UInt8(ascii: "-"),
            word.utf8.count <= 120
        else { return false }
        return word.utf8.allSatisfy(isPlainByte)
    }

    private static func isPlainByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"),
            UInt8(ascii: "+"), UInt8(ascii: "="), UInt8(ascii: "@"), UInt8(ascii: ","):
            true
        default: false
        }
    }

    /// A word out of any text.
    public static func plainWord(_ text: String, limit: Int = 100) -> String {
        var bytes = text.utf8.map { isPlainByte($0) ? $0 : UInt8(ascii: "_") }
        if let first = bytes.first, first == UInt8(ascii: ".") || first == UInt8(ascii: "-") {
            bytes[0] = UInt8(ascii: "_")
        }
        let word = String(decoding: bytes.prefix(limit), as: UTF8.self)
        return word.isEmpty ? "_" : word
    }

    /// Says why a name is not one that a part may have.
    static func refusal(of path: String) -> String {
        let shown = printable(path, limit: 200)
        if path.hasPrefix("/") { return "\(shown) is an absolute name" }
        if path.split(separator: "/", omittingEmptySubsequences: false).contains("..") {
            return "\(shown) leads out of the folder"
        }
        return "\(shown) is no name that an archive of bpftest has"
    }
}
