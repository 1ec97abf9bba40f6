// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Foundation
internal import LinuxIO
internal import Synchronization
internal import SystemPackage

/// A terminal of our own: programs write to `slave`, and all that they write is collected.
public final class PseudoTerminal: Sendable {
    private let slaveEnd: Mutex<OwnedFD?>
    private let masterEnd: Mutex<OwnedFD?>
    private let output = Output()

    /// What programs get as stdout and stderr; -1 after `allOutput`.
    public var slave: CInt { Self.number(slaveEnd) }

    /// - Parameter reads: false: nobody reads what is written, so that the terminal takes some kilobytes only.
    public init(columns: UInt16 = 80, rows: UInt16 = 24, reads: Bool = true) throws {
        var ends: (master: CInt, slave: CInt) = (-1, -1)
        _ = try Self.check(unsafe openpty(&ends.master, &ends.slave, nil, nil, nil))
        let master = OwnedFD(adopting: ends.master)
        let slave = OwnedFD(adopting: ends.slave)
        for end in [ends.master, ends.slave] { _ = try Self.check(fcntl(end, F_SETFD, FD_CLOEXEC)) }
        let output = output
        // Left open until the reader has come to the end.
        let reading = try Self.check(fcntl(ends.master, F_DUPFD_CLOEXEC, 0))
        masterEnd = Mutex(master)
        slaveEnd = Mutex(slave)
        try resize(columns: columns, rows: rows)
        guard reads else {
            close(reading)
            output.end()
            return
        }
        let thread = Thread {
            var chunk = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = unsafe read(reading, &chunk, chunk.count)
                if count < 0, errno == EINTR { continue }
                // EIO: nobody has the other end open any more.
                guard count > 0 else { break }
                output.append(chunk[..<count])
            }
            close(reading)
            output.end()
        }
        thread.start()
    }

    /// Changes the window.
    public func resize(columns: UInt16, rows: UInt16 = 24) throws {
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        _ = try Self.check(unsafe ioctl(Self.number(masterEnd), UInt(TIOCSWINSZ), &size))
    }

    /// What was written so far.
    public var text: String { output.text }

    /// Waits until the output satisfies a condition.
    ///
    /// - Returns: false when it does not within the limit.
    public func waits(limit: Duration = .seconds(20), until condition: (String) -> Bool) -> Bool {
        output.waits(Date(timeIntervalSinceNow: Double(limit.components.seconds)), condition)
    }

    /// Closes `slave` and waits until nobody else has it open either.
    ///
    /// - Returns: all that was written, nil if somebody still has the terminal open at the limit.
    public func allOutput(limit: Duration = .seconds(20)) -> String? {
        slaveEnd.withLock { $0 = nil }
        return output.waitsForEnd(Date(timeIntervalSinceNow: Double(limit.components.seconds))) ? output.text : nil
    }

    /// Stops the output as ^S does: who writes waits.
    public func stop() throws {
        _ = try Self.check(tcflow(slave, TCOOFF))
    }

    /// Lets the output go on as ^Q does.
    public func resume() throws {
        _ = try Self.check(tcflow(slave, TCOON))
    }

    /// Takes the terminal away from the programs that use it; only where nobody reads.
    public func hangUp() {
        masterEnd.withLock { $0 = nil }
    }

    private static func number(_ end: borrowing Mutex<OwnedFD?>) -> CInt {
        end.withLock { end in
            switch end {
            case .some(let descriptor): descriptor.raw
            case .none: -1
            }
        }
    }

    private static func check(_ result: CInt) throws -> CInt {
        guard result >= 0 else { throw Errno(rawValue: errno) }
        return result
    }

    /// Bytes as they come, for readers that wait.
    private final class Output: @unchecked Sendable {
        // SAFETY: everything below is touched with the condition's lock held.
        private let condition = NSCondition()
        private var bytes: [UInt8] = []
        private var isOver = false

        func append(_ more: ArraySlice<UInt8>) {
            condition.withLock { bytes += more }
            condition.broadcast()
        }

        func end() {
            condition.withLock { isOver = true }
            condition.broadcast()
        }

        var text: String { condition.withLock { String(decoding: bytes, as: UTF8.self) } }

        func waits(_ deadline: Date, _ satisfied: (String) -> Bool) -> Bool {
            condition.withLock {
                while !satisfied(String(decoding: bytes, as: UTF8.self)) {
                    guard !isOver, condition.wait(until: deadline) else { return false }
                }
                return true
            }
        }

        func waitsForEnd(_ deadline: Date) -> Bool {
            condition.withLock {
                while !isOver { guard condition.wait(until: deadline) else { return false } }
                return true
            }
        }
    }
}
