// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
internal import SystemPackage

extension Test {
    /// States that something comes to hold that the kernel does in its own time, such as freeing what was released.
    ///
    /// - Parameter limit: as long as nobody waits for on a machine that works.
    public func eventually(
        _ what: String, within limit: Duration = .seconds(30), file: String = #fileID, line: Int = #line,
        _ holds: () throws -> Bool
    ) throws {
        let clock = ContinuousClock()
        let end = clock.now + limit
        var poller = Poller()
        while try !holds() {
            if clock.now > end {
                expect(false, "\(what), at last", file: file, line: line)
                return
            }
            GracePeriods.pass()
            // Nothing to wait for: lets the kernel's workers run.
            _ = try poller.wait(.milliseconds(1))
        }
    }
}
