// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// `-- job` at the end of the kernel command line: runs what the guest image says, and tells it on the console.
///
/// There is no host on the other side, and no port to one: the console is all there is. What init says itself goes
/// through the kernel's log, whose lines nothing can tear apart, each behind `bpftest-job: `; what the job says is
/// written as it is.
enum JobMode {
    /// Whether the command line asks for it, and its further words.
    static var words: [String]? {
        let words = CommandLine.arguments.dropFirst()
        guard let start = words.firstIndex(of: "job") else { return nil }
        return Array(words[words.index(after: start)...])
    }

    /// - Throws: what keeps the job from being run at all.
    static func run(_ words: [String], _ notes: inout [String]) throws {
        try Modules.load(&notes)
        let job = try JobFile.read()
        try bring(JobFile.files, to: "")
        for note in notes { say("note \(note)") }
        if words.contains("shell-first") { try shell() }
        say("start")
        var outcome = ""
        var watcher = ResultWatcher(job.watch)
        let deadline = ContinuousClock.now + .seconds(job.seconds)
        for (number, call) in job.calls.enumerated() {
            if number == job.calls.count - 1 { watcher.begin() }
            outcome = try JobCall(call).run(until: deadline) { watcher.read($0) }
            if outcome == "timeout" { break }
        }
        // What the job has left to the kernel may be what breaks it.
        GracePeriods.pass()
        for line in watcher.results { say("result \(line)") }
        say(outcome == "timeout" ? outcome : "ended \(outcome)")
        if words.contains("shell") { try shell() }
    }

    /// A line in the kernel's log: the console has it whole, in the order of what the kernel itself says.
    static func say(_ text: String) {
        // A record of the log holds about a thousand bytes.
        let line = Array("<4>bpftest-job: ".utf8) + text.utf8.prefix(900) + [0x0a]
        tcdrain(1)
        do {
            let log = try Descriptors.open("/dev/kmsg", O_WRONLY)
            try log.writeAll(line)
        } catch {
            // Without /dev/kmsg (CONFIG_PRINTK) nothing of this can be seen anyway.
            _ = unsafe line.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
        }
    }

    /// Copies what the image brings to where the job looks for it, and frees the image's own copy, file by file: /run and
    /// /tmp are file systems of their own by now.
    private static func bring(_ folder: String, to target: String) throws {
        for name in Ports.directory(folder) {
            let from = "\(folder)/\(name)"
            let to = "\(target)/\(name)"
            var status = stat()
            guard unsafe lstat(from, &status) == 0 else {
                throw InitError("\(from) cannot be read: \(Errno.last.name)")
            }
            if status.st_mode & S_IFMT == S_IFDIR {
                Mounts.makeDirectories(to)
                try bring(from, to: to)
                continue
            }
            do {
                try copy(from, to, mode: status.st_mode & 0o777)
            } catch {
                throw InitError("\(to) cannot be written: \(error.name)")
            }
            _ = unsafe unlink(from)
        }
    }

    private static func copy(_ from: String, _ to: String, mode: mode_t) throws(Errno) {
        _ = unsafe unlink(to)
        let source = try Descriptors.open(from, O_RDONLY)
        let target = try Descriptors.open(to, O_WRONLY | O_CREAT | O_EXCL, mode: UInt32(mode))
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = try source.read(into: &chunk)
            if count == 0 { return }
            try target.writeAll(chunk, count: count)
        }
    }

    /// A shell on the console, until it ends: busybox, where the image has it.
    private static func shell() throws {
        let busybox = "/bin/busybox"
        guard unsafe access(busybox, X_OK) == 0 else {
            say("note there is no shell in this image")
            return
        }
        let environment = ["PATH=/bin:/usr/bin", "HOME=/root", "TERM=linux", "PS1=guest# "]
        for arguments in [
            [busybox, "--install", "-s", "/bin"], [busybox, "setsid", "-c", busybox, "sh", "-i"],
        ] {
            let terminal = try Descriptors.open("/dev/ttyS0", O_RDWR | O_NOCTTY)
            var spawn = Spawn(path: busybox, arguments: arguments, environment: environment)
            spawn.descriptors = [0: terminal.raw, 1: terminal.raw, 2: terminal.raw]
            spawn.workingDirectory = "/run"
            let pid = try spawn.start()
            var status: CInt = 0
            while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
        }
    }
}

/// The results that count: those of one case, or everything that is `not ok`.
struct ResultWatcher {
    private let id: String
    private var isOn = false
    private(set) var results: [String] = []
    private static let limit = 50

    init(_ id: String) {
        self.id = id
    }

    /// The call with the case begins.
    mutating func begin() {
        isOn = true
    }

    mutating func read(_ line: [UInt8]) {
        guard isOn, results.count < Self.limit else { return }
        let text = String(decoding: line.prefix(900), as: UTF8.self)
        var words = text.split(separator: " ")[...]
        let failed = words.first == "not"
        if failed { words.removeFirst() }
        guard words.popFirst() == "ok", let number = words.popFirst() else { return }
        if words.first == "-" { words.removeFirst() }
        // A number may be left out.
        let name = number.utf8.allSatisfy { (0x30...0x39).contains($0) } ? words.first : number
        if id == "*" ? failed && !text.contains("# TODO") : name.map(String.init) == id {
            results.append(String(text.drop { $0 == " " }))
        }
    }
}
