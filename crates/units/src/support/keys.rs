//! The keys that systemd knows, as `systemd --dump-configuration-items` of version 252 lists them,
//! with those of the manuals up to 256 added. Only for telling a key that Káto does not honour from one
//! that nobody does.

/// The keys of `[Service]`.
#[rustfmt::skip]
pub(super) const SERVICE: [&str; 268] = [
    "AllowedCPUs", "AllowedMemoryNodes", "AmbientCapabilities", "AppArmorProfile", "BPFProgram",
    "BindPaths", "BindReadOnlyPaths", "BlockIOAccounting", "BlockIODeviceWeight",
    "BlockIOReadBandwidth", "BlockIOWeight", "BlockIOWriteBandwidth", "BusName",
    "CPUAccounting", "CPUAffinity", "CPUQuota", "CPUQuotaPeriodSec", "CPUSchedulingPolicy",
    "CPUSchedulingPriority", "CPUSchedulingResetOnFork", "CPUShares", "CPUWeight",
    "CacheDirectory", "CacheDirectoryMode", "CapabilityBoundingSet", "ConfigurationDirectory",
    "ConfigurationDirectoryMode", "CoredumpFilter", "CoredumpReceive", "DefaultMemoryLow",
    "DefaultMemoryMin", "Delegate", "DeviceAllow", "DevicePolicy", "DisableControllers",
    "DynamicUser", "Environment", "EnvironmentFile", "ExecCondition", "ExecPaths", "ExecReload",
    "ExecSearchPath", "ExecStart", "ExecStartPost", "ExecStartPre", "ExecStop", "ExecStopPost",
    "ExitType", "ExtensionDirectories", "ExtensionImagePolicy", "ExtensionImages",
    "FailureAction", "FileDescriptorStoreMax", "FileDescriptorStorePreserve", "FinalKillSignal",
    "Group", "GuessMainPID", "IOAccounting", "IODeviceLatencyTargetSec", "IODeviceWeight",
    "IOReadBandwidthMax", "IOReadIOPSMax", "IOSchedulingClass", "IOSchedulingPriority",
    "IOWeight", "IOWriteBandwidthMax", "IOWriteIOPSMax", "IPAccounting", "IPAddressAllow",
    "IPAddressDeny", "IPCNamespacePath", "IPEgressFilterPath", "IPIngressFilterPath",
    "IgnoreSIGPIPE", "ImportCredential", "InaccessibleDirectories", "InaccessiblePaths",
    "KeyringMode", "KillMode", "KillSignal", "LimitAS", "LimitCORE", "LimitCPU", "LimitDATA",
    "LimitFSIZE", "LimitLOCKS", "LimitMEMLOCK", "LimitMSGQUEUE", "LimitNICE", "LimitNOFILE",
    "LimitNPROC", "LimitRSS", "LimitRTPRIO", "LimitRTTIME", "LimitSIGPENDING", "LimitSTACK",
    "LoadCredential", "LoadCredentialEncrypted", "LockPersonality", "LogExtraFields",
    "LogLevelMax", "LogNamespace", "LogRateLimitBurst", "LogRateLimitIntervalSec",
    "LogsDirectory", "LogsDirectoryMode", "ManagedOOMMemoryPressure",
    "ManagedOOMMemoryPressureLimit", "ManagedOOMPreference", "ManagedOOMSwap",
    "MemoryAccounting", "MemoryDenyWriteExecute", "MemoryHigh", "MemoryKSM", "MemoryLimit",
    "MemoryLow", "MemoryMax", "MemoryMin", "MemoryPressureThresholdSec", "MemoryPressureWatch",
    "MemorySwapMax", "MemoryZSwapMax", "MemoryZSwapWriteback", "MountAPIVFS", "MountFlags",
    "MountImagePolicy", "MountImages", "NFTSet", "NUMAMask", "NUMAPolicy",
    "NetworkNamespacePath", "Nice", "NoExecPaths", "NoNewPrivileges", "NonBlocking",
    "NotifyAccess", "OOMPolicy", "OOMScoreAdjust", "OpenFile", "PAMName", "PIDFile",
    "PassEnvironment", "PermissionsStartOnly", "Personality", "PrivateDevices", "PrivateIPC",
    "PrivateMounts", "PrivateNetwork", "PrivatePIDs", "PrivateTmp", "PrivateUsers",
    "ProcSubset", "ProtectClock", "ProtectControlGroups", "ProtectHome", "ProtectHostname",
    "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "ProtectProc",
    "ProtectSystem", "ReadOnlyDirectories", "ReadOnlyPaths", "ReadWriteDirectories",
    "ReadWritePaths", "RebootArgument", "ReloadSignal", "RemainAfterExit", "RemoveIPC",
    "Restart", "RestartForceExitStatus", "RestartKillSignal", "RestartMaxDelaySec",
    "RestartMode", "RestartPreventExitStatus", "RestartSec", "RestartSteps",
    "RestrictAddressFamilies", "RestrictFileSystems", "RestrictNamespaces",
    "RestrictNetworkInterfaces", "RestrictRealtime", "RestrictSUIDSGID", "RootDirectory",
    "RootDirectoryStartOnly", "RootEphemeral", "RootHash", "RootHashSignature", "RootImage",
    "RootImageOptions", "RootImagePolicy", "RootVerity", "RuntimeDirectory",
    "RuntimeDirectoryMode", "RuntimeDirectoryPreserve", "RuntimeMaxSec",
    "RuntimeRandomizedExtraSec", "SELinuxContext", "SecureBits", "SendSIGHUP", "SendSIGKILL",
    "SetCredential", "SetCredentialEncrypted", "SetLoginEnvironment", "Slice",
    "SmackProcessLabel", "SocketBindAllow", "SocketBindDeny", "Sockets", "StandardError",
    "StandardInput", "StandardInputData", "StandardInputText", "StandardOutput",
    "StartLimitAction", "StartLimitBurst", "StartLimitInterval", "StartupAllowedCPUs",
    "StartupAllowedMemoryNodes", "StartupBlockIOWeight", "StartupCPUShares", "StartupCPUWeight",
    "StartupIOWeight", "StartupMemoryHigh", "StartupMemoryLow", "StartupMemoryMax",
    "StartupMemorySwapMax", "StartupMemoryZSwapMax", "StateDirectory", "StateDirectoryMode",
    "SuccessExitStatus", "SupplementaryGroups", "SyslogFacility", "SyslogIdentifier",
    "SyslogLevel", "SyslogLevelPrefix", "SystemCallArchitectures", "SystemCallErrorNumber",
    "SystemCallFilter", "SystemCallLog", "TTYColumns", "TTYPath", "TTYReset", "TTYRows",
    "TTYVHangup", "TTYVTDisallocate", "TasksAccounting", "TasksMax", "TemporaryFileSystem",
    "TimeoutAbortSec", "TimeoutCleanSec", "TimeoutSec", "TimeoutStartFailureMode",
    "TimeoutStartSec", "TimeoutStopFailureMode", "TimeoutStopSec", "TimerSlackNSec", "Type",
    "UMask", "USBFunctionDescriptors", "USBFunctionStrings", "UnsetEnvironment", "User",
    "UtmpIdentifier", "UtmpMode", "WatchdogSec", "WatchdogSignal", "WorkingDirectory",
];

/// The keys of `[Unit]` but for conditions and assertions, which are told by their prefix.
#[rustfmt::skip]
pub(super) const UNIT: [&str; 49] = [
    "After", "AllowIsolate", "Before", "BindTo", "BindsTo", "CollectMode", "Conflicts",
    "DefaultDependencies", "Description", "Documentation", "FailureAction",
    "FailureActionExitStatus", "IgnoreOnIsolate", "JobRunningTimeoutSec", "JobTimeoutAction",
    "JobTimeoutRebootArgument", "JobTimeoutSec", "JoinsNamespaceOf", "OnFailure",
    "OnFailureIsolate", "OnFailureJobMode", "OnSuccess", "OnSuccessJobMode", "PartOf",
    "PropagateReloadFrom", "PropagateReloadTo", "PropagatesReloadTo", "PropagatesStopTo",
    "RebootArgument", "RefuseManualStart", "RefuseManualStop", "ReloadPropagatedFrom",
    "Requires", "RequiresMountsFor", "RequiresOverridable", "Requisite", "RequisiteOverridable",
    "SourcePath", "StartLimitAction", "StartLimitBurst", "StartLimitInterval",
    "StartLimitIntervalSec", "StopPropagatedFrom", "StopWhenUnneeded", "SuccessAction",
    "SuccessActionExitStatus", "SurviveFinalKillSignal", "Upholds", "Wants",
];

/// The keys of `[Install]`.
#[rustfmt::skip]
pub(super) const INSTALL: [&str; 5] = [
    "Alias", "Also", "DefaultInstance", "RequiredBy", "WantedBy",
];
