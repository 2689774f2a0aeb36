-- $1 instance. Returns the targets for which all its builds have their deliveries; null: none.
SELECT targets FROM zipmodule.instance WHERE instance = $1
