"""The offer model: learnt from campaigns that have ended, applied by `recsvc.engine.redemption`."""
