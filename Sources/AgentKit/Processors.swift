// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import LinuxIO
public import SystemPackage

/// The processors of the machine.
public enum Processors {
    /// How many there can be: the kernel's nr_cpu_ids.
    public static var possible: Int {
        get throws(Errno) {
            let text = String(decoding: try readFile("/sys/devices/system/cpu/possible"), as: UTF8.self)
            // `0` or `0-3`; a list with holes ends with the highest as well.
            let numbers = text.split { !$0.isNumber }
            guard let last = numbers.last, let highest = Int(last) else { throw .badMessage }
            return highest + 1
        }
    }

    /// Has the calling process run on one of them alone; nil on success.
    public static func pin(to cpu: Int) -> Errno? {
        clinux_pin(CInt(cpu)) == 0 ? nil : Errno.last
    }
}
