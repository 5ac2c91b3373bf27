//! Request lines, targets and fields that are not as the RFCs have them.
