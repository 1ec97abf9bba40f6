// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc

/// RCU's, by which the kernel frees what was in use.
public enum GracePeriods {
    /// Lets the kernel do what has been left to it until now: a program that is freed after a grace period may be what
    /// breaks the kernel.
    public static func pass() {
        // A kernel without membarrier(2) (CONFIG_MEMBARRIER) goes without; what it has to complain about comes later.
        for _ in 0..<2 where clinux_wait_for_rcu() == 0 {
            // On one processor the workers that the grace period has woken run before this process does.
            for _ in 0..<4 { sched_yield() }
        }
    }
}
