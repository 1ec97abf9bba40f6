// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import SystemPackage

/// A terminal by its descriptor, which stays somebody else's.
struct TerminalDevice: Sendable {
    let descriptor: CInt

    /// The window's size now; 80 by 24 where the terminal does not know it (a serial line).
    ///
    /// Asked whenever something is drawn, which is often enough to make SIGWINCH superfluous.
    var size: WindowSize {
        var size = winsize()
        let answer = unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &size)
        guard answer == 0, size.ws_col > 0, size.ws_row > 0 else { return WindowSize() }
        return WindowSize(columns: Int(size.ws_col), rows: Int(size.ws_row))
    }

    /// Whether the terminal is another job's at the moment: drawing would spoil what that job or the shell shows.
    var isOthers: Bool {
        let group = tcgetpgrp(descriptor)
        // Not our controlling terminal: nobody's.
        return group > 0 && group != getpgrp()
    }

    /// Writes all of it, in one call if the terminal takes it.
    func write(_ text: String) throws(Errno) {
        let bytes = Array(text.utf8)
        var done = 0
        while done < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { raw in
                let rest = unsafe UnsafeRawBufferPointer(rebasing: raw[done...])
                return unsafe Glibc.write(descriptor, rest.baseAddress, rest.count)
            }
            if count >= 0 {
                done += count
                continue
            }
            let error = Errno(rawValue: errno)
            switch error {
            case .interrupted: continue
            case .resourceTemporarilyUnavailable:
                // Another process that shares the terminal has made it non-blocking.
                var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = unsafe poll(&wait, 1, -1)
            default: throw error
            }
        }
    }

    /// A terminal that is up to being drawn on, with a user who wants it.
    ///
    /// Only if results don't go down a pipe: what reads them there may show them on the same terminal (`tee`, a pager),
    /// at moments that nobody here knows.
    static func isWanted(environment: [String: String], errors: CInt, results: CInt) -> Bool {
        let term = environment["TERM"] ?? ""
        guard isatty(errors) == 1, !term.isEmpty, term != "dumb", isUnset("BPFTEST_NO_UI", environment) else {
            return false
        }
        var status = stat()
        guard unsafe fstat(results, &status) == 0 else { return true }
        return ![S_IFIFO, S_IFSOCK].contains(status.st_mode & S_IFMT)
    }

    /// As https://no-color.org has it: set and not empty means no colours.
    static func allowsColour(environment: [String: String]) -> Bool {
        isUnset("NO_COLOR", environment)
    }

    private static func isUnset(_ name: String, _ environment: [String: String]) -> Bool {
        environment[name, default: ""].isEmpty
    }
}
