// SPDX-License-Identifier: Apache-2.0

/// bpftest's version.
public let bpftestVersion = "0.3.0"
