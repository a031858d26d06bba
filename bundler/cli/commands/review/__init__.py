"""Commands that look at a bundle and vouch for it: verify, inspect, diff, report, sign."""
