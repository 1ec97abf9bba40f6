// SPDX-License-Identifier: Apache-2.0
internal import GuestProtocol
internal import LinuxIO

extension Machine {
    /// Asks the guest to power off and waits for QEMU's end; kills it when that takes longer than `limit`.
    ///
    /// What the console says meanwhile is passed on: a kernel can still break while it goes down.
    public func powerOff(limit: Duration = .seconds(10), onConsole: (String) -> Void = { _ in }) {
        let deadline = ContinuousClock.now + limit
        send(.powerOff)
        do {
            while let event = try next(until: deadline) {
                switch event {
                case .console(let line): onConsole(line)
                case .ended: return
                default: continue
                }
            }
        } catch {
            // A guest that talks nonsense on its way out is killed like one that hangs.
        }
        kill()
    }
}
